// The phones: one per recipient, the newest message first.

const MESSAGES_MAX = 200;

// Messages on the page by key, phones by recipient.
const messageItems = new Map();
const phones = new Map();
let messages = [];
let messagesText = "";
let isFirstRead = true;

// Ids may repeat after a restart of the server, so the time is part of the key.
const messageKey = (message) => `${message.id} ${message.at}`;

async function readMessages() {
  const response = await request("GET", "/local/messages");
  byId("offline").hidden = response.ok;
  if (!response.ok) {
    return setText(byId("offline"), "The server does not respond. Retrying every second.");
  }
  if (response.text === messagesText) return;
  messagesText = response.text;
  messages = response.json.messages;
  const recent = messages.slice(-MESSAGES_MAX);
  removeOthers(recent);
  const added = recent.filter((message) => !messageItems.has(messageKey(message)));
  added.forEach(addMessage);
  for (const phone of phones.values()) {
    setText(phone.count, plural(phone.list.children.length, "message"));
  }
  byId("no-messages").hidden = recent.length > 0;
  setText(
    byId("phones-note"),
    messages.length > MESSAGES_MAX
      ? `The newest ${MESSAGES_MAX} of ${messages.length} messages.`
      : "Messages that the simulated carriers delivered, newest first.",
  );
  if (!isFirstRead && added.length > 0) {
    announce(added.slice(-3));
    readVerification();
  }
  isFirstRead = false;
}

// Removes the messages that are not among `kept`, and phones without messages.
function removeOthers(kept) {
  const keys = new Set(kept.map(messageKey));
  for (const [key, item] of messageItems) {
    if (keys.has(key)) continue;
    item.remove();
    messageItems.delete(key);
  }
  for (const [to, phone] of phones) {
    if (phone.list.hasChildNodes()) continue;
    phone.item.remove();
    phones.delete(to);
  }
}

// Reads new messages out to users of a screen reader.
function announce(added) {
  const sentences = added.map((m) => `New ${channelName(m.channel)} for ${m.to}: ${m.text}`);
  setText(byId("announcement"), sentences.join(". "));
}

// Puts a message on top of its phone, and the phone first.
function addMessage(message) {
  const phone = phones.get(message.to) ?? addPhone(message.to);
  const item = messageItem(message);
  const focused = document.activeElement;
  if (!isFirstRead) item.classList.add("new");
  messageItems.set(messageKey(message), item);
  phone.list.prepend(item);
  phone.screen.scrollTop = 0;
  if (byId("phone-list").firstChild !== phone.item) {
    byId("phone-list").prepend(phone.item);
    // A moved element loses the focus.
    if (phone.item.contains(focused)) focused.focus({ preventScroll: true });
  }
}

function addPhone(to) {
  const list = create("ol");
  const count = create("p", { class: "soft" });
  const screen = create(
    "div",
    { class: "screen", tabindex: "0", role: "region", "aria-label": "Messages for " + to },
    create("h3", {}, create("bdi", {}, to)),
    count,
    list,
  );
  const item = create("li", { class: to.includes("@") ? "phone inbox" : "phone" }, screen);
  const phone = { list, count, screen, item };
  phones.set(to, phone);
  return phone;
}

function messageItem(message) {
  const { channel, from, at, carrier, code, text } = message;
  const header = create(
    "header",
    {},
    channelIcon(channel),
    create("b", {}, channelName(channel)),
    create("bdi", {}, from ?? ""),
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
      current = { id, key };
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
