// What the page keeps over a reload, in this tab only: the fields of the form, and which
// verification is shown.

const SAVED = "lambda-otp";

function save(changes) {
  try {
    sessionStorage.setItem(SAVED, JSON.stringify({ ...saved(), ...changes }));
  } catch {
    // Without storage a reload starts over.
  }
}

function saved() {
  try {
    return parseJson(sessionStorage.getItem(SAVED)) ?? {};
  } catch {
    return {};
  }
}

const savedInputs = () =>
  [...byId("send").elements].filter((element) => element.id && element.tagName !== "BUTTON");

function saveForm() {
  const channel = byId("send").elements.channel.value;
  const fields = savedInputs().map((input) => [input.id, input.value]);
  save({ channel, fields: Object.fromEntries(fields) });
}

function restoreForm() {
  const { channel, fields = {} } = saved();
  for (const input of savedInputs()) {
    if (fields[input.id] !== undefined) input.value = fields[input.id];
  }
  const more = byId("send").querySelector("details");
  more.open ||= [...more.querySelectorAll("input")].some((input) => input.value !== "");
  if (channel) byId("send").elements.channel.value = channel;
}

byId("send").addEventListener("input", saveForm);
byId("send").addEventListener("change", saveForm);
