// One message on a phone: its text, its code, and the reports that its carrier can make.

function messageItem(message) {
  const { channel, from, at, carrier, code, text } = message;
  // A notification is shown under the name of its app, as on a phone.
  const isPush = channel === "push";
  const header = create(
    "header",
    {},
    channelIcon(channel),
    create("b", {}, isPush ? (from ?? "") : channelName(channel)),
    create("bdi", {}, isPush ? channelName(channel) : (from ?? "")),
    create("time", { datetime: at, title: at }, timeOfDay(at)),
  );
  const highlighted = withHighlight(String(text ?? ""), String(code ?? ""));
  const body = create("p", { class: "text", dir: "auto" }, ...highlighted);
  const item = create("li", { class: "message", "data-channel": channel }, header, body);
  if (code) item.append(codeButtons(message));
  item.append(reportButtons(message, carrier));
  return item;
}

function codeButtons(message) {
  const onCopy = (event) => copyCode(message.code, event.target);
  const onFillIn = (event) => fillIn(message, event.target);
  return create(
    "div",
    { class: "row" },
    create("button", { type: "button", onclick: onCopy }, "Copy " + message.code),
    create("button", { type: "button", onclick: onFillIn }, "Fill in"),
  );
}

function reportButtons(message, carrier) {
  const result = create("output");
  const buttons = REPORT_BUTTONS.map((status) => {
    const onclick = (event) => report(message, status, event.target, result);
    return create("button", { type: "button", "aria-pressed": "false", onclick }, status);
  });
  return create(
    "div",
    { class: "report", role: "group", "aria-label": `Report by ${carrier}` },
    create("span", {}, `${carrier} reports:`),
    ...buttons,
    result,
  );
}

// The text with the first occurrence of the code marked, also where it is spelled out: "1, 2, 3".
function withHighlight(text, code) {
  const escaped = [...code].map((char) => char.replace(/[^\p{L}\p{N}]/gu, "\\$&"));
  const found = code && new RegExp(escaped.join("[\\s,.\\-]*"), "iu").exec(text);
  if (!found) return [text];
  const end = found.index + found[0].length;
  return [text.slice(0, found.index), create("mark", {}, found[0]), text.slice(end)];
}

async function copyCode(code, button) {
  try {
    await navigator.clipboard.writeText(code);
    setText(button, "Copied");
  } catch {
    setText(button, "Not allowed here");
  }
  setText(byId("announcement"), button.textContent);
  setTimeout(() => setText(button, "Copy " + code), 1500);
}

// Shows the verification of a message and puts its code into the form. It may be another app's: all
// known keys are tried.
async function fillIn(message, button) {
  await whileBusy(button, async () => {
    const id = message.verification_id;
    const keys = new Set([byId("key").value.trim(), ...apiKeys.map((entry) => entry.key)]);
    let response = null;
    for (const key of keys) {
      response = await request("GET", verificationPath(id), { key });
      if (!response.ok) continue;
      if (current?.id !== id) showOutcome("none", "");
      setCurrent({ id, key });
      showVerification(response.json);
      break;
    }
    showProblem(byId(current ? "verification-problem" : "send-problem"), response);
    if (!response.ok) return;
    byId("code").value = message.code;
    byId("code").focus();
  });
}

// Lets the simulated carrier report `status` of a message.
async function report(message, status, button, result) {
  await whileBusy(button, async () => {
    const path = `/local/messages/${encodeURIComponent(message.id)}/report`;
    const response = await request("POST", path, { body: { status } });
    for (const other of button.parentElement.querySelectorAll("button")) {
      other.setAttribute("aria-pressed", String(other === button && response.ok));
    }
    const { detail, title } = response.problem ?? {};
    setText(
      result,
      response.ok
        ? `Status of the callback: ${response.json.callback_status}`
        : `Not reported: ${detail ?? title}`,
    );
    await readVerification();
  });
}
