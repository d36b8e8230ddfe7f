// The behaviour of the simulated carriers. The server does not return it, so each field is unknown
// until it is set here.

for (const carrier of CARRIERS) addCarrier(carrier);

function addCarrier(carrier) {
  const mode = choice(`${carrier}-mode`, Object.entries(MODES));
  const report = choice(
    `${carrier}-report`,
    AUTOMATIC_REPORTS.map((status) => [status, status]),
  );
  const result = create("output", { class: "soft" });
  const apply = async () => {
    mode.value ||= "ok";
    report.value ||= "none";
    const body = { mode: mode.value, report: report.value };
    const response = await request("POST", "/local/carriers/" + carrier, { body });
    showProblem(byId("carriers-problem"), response);
    setText(result, response.ok ? `Set: mode ${body.mode}, report ${body.report}` : "");
  };
  mode.addEventListener("change", apply);
  report.addEventListener("change", apply);
  byId("carriers").append(
    create(
      "fieldset",
      { class: "stack" },
      create("legend", { class: "mono" }, carrier),
      create("div", {}, create("label", { for: mode.id }, "Mode"), mode),
      create("div", {}, create("label", { for: report.id }, "Automatic report"), report),
      result,
    ),
  );
}

// A select of values and words. Its first entry is the value that the server has; it cannot be
// chosen.
function choice(id, entries) {
  const options = entries.map(([value, words]) => create("option", { value }, words));
  const unchanged = create(
    "option",
    { value: "", selected: "", disabled: "", hidden: "" },
    "current setting",
  );
  return create("select", { id }, unchanged, ...options);
}
