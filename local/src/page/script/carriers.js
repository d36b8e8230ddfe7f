// The carriers: those of the server with their state. The behaviour of a simulated one can be set.

// Elements by the carrier's name.
const carrierBoxes = new Map();

async function readCarriers() {
  const response = await request("GET", "/local/carriers");
  if (!response.ok) return;
  const { carriers } = response.json;
  const real = carriers.filter(({ mode }) => mode === null).map(({ name }) => name);
  showRealCarriers(real, real.length === carriers.length);
  for (const { name, mode, breaker } of carriers) {
    const box = carrierBoxes.get(name) ?? addCarrier(name, mode !== null);
    const isOpen = breaker === "open";
    setText(box.breaker, isOpen ? "skipped after failures (breaker open)" : "");
    box.breaker.hidden = !isOpen;
    if (mode !== null) await readBehaviour(name, box);
  }
}

// Says which messages leave this machine.
function showRealCarriers(real, areAll) {
  byId("real-carriers").hidden = real.length === 0;
  const others = areAll ? "They" : "Their messages";
  setText(
    byId("real-carriers"),
    `Real carriers: ${real.join(", ")}. A message through them goes to a person and costs money. ` +
      `${others} do not appear on the phones of this page.`,
  );
}

async function readBehaviour(name, box) {
  const response = await request("GET", carrierPath(name));
  // A select that is being used keeps the choice.
  if (!response.ok || box.fieldset.contains(document.activeElement)) return;
  box.mode.value = response.json.mode;
  box.report.value = response.json.report ?? "none";
}

const carrierPath = (name) => "/local/carriers/" + encodeURIComponent(name);

function addCarrier(name, isSimulated) {
  const breaker = create("p", { class: "box bad", hidden: "" });
  const fieldset = create(
    "fieldset",
    { class: "stack" },
    create("legend", { class: "mono" }, name),
  );
  const box = { fieldset, breaker };
  if (isSimulated) addControls(name, box);
  else fieldset.append(create("p", { class: "soft" }, "Real carrier: set in OTP_CARRIERS."));
  fieldset.append(breaker);
  byId("carriers").append(fieldset);
  carrierBoxes.set(name, box);
  return box;
}

function addControls(name, box) {
  box.mode = choice(`${name}-mode`, Object.entries(MODES));
  box.report = choice(
    `${name}-report`,
    AUTOMATIC_REPORTS.map((status) => [status, status]),
  );
  const result = create("output", { class: "soft" });
  const apply = async () => {
    const body = { mode: box.mode.value, report: box.report.value };
    const response = await request("POST", carrierPath(name), { body });
    showProblem(byId("carriers-problem"), response);
    setText(result, response.ok ? `Set: mode ${body.mode}, report ${body.report}` : "");
  };
  box.mode.addEventListener("change", apply);
  box.report.addEventListener("change", apply);
  box.fieldset.append(
    create("div", {}, create("label", { for: box.mode.id }, "Mode"), box.mode),
    create("div", {}, create("label", { for: box.report.id }, "Automatic report"), box.report),
    result,
  );
}

// A select of values and words.
function choice(id, entries) {
  const options = entries.map(([value, words]) => create("option", { value }, words));
  return create("select", { id }, ...options);
}
