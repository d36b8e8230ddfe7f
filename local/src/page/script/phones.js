// The phones: one per recipient, the latest first, a few at a time. A phone shows its newest
// messages first.

const PHONES_PER_PAGE = 6;
const MESSAGES_PER_PHONE = 20;

// Elements on the page: phones by recipient, messages by key.
const phones = new Map();
const messageItems = new Map();
let messages = [];
let messagesText = "";
let knownKeys = new Set();
let isFirstRead = true;
let page = 0;

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
  const added = messages.filter((message) => !knownKeys.has(messageKey(message)));
  if (added.length > 0) page = 0; // its phone is the first one now
  showPhones(new Set(isFirstRead ? [] : added.map(messageKey)));
  knownKeys = new Set(messages.map(messageKey));
  if (!isFirstRead && added.length > 0) {
    announce(added.slice(-3));
    readVerification();
  }
  isFirstRead = false;
}

// Shows the phones of the search and the page. Messages with the keys `added` appear with a motion.
function showPhones(added = new Set()) {
  const all = byRecipient(messages);
  const found = matching(all, byId("search").value.trim().toLowerCase());
  const pages = Math.max(1, Math.ceil(found.length / PHONES_PER_PAGE));
  page = Math.min(page, pages - 1);
  const first = page * PHONES_PER_PAGE;
  const shown = found.slice(first, first + PHONES_PER_PAGE);
  removeOthers(shown);
  arrange(shown.map(([to, own]) => showPhone(to, own, added).item));
  byId("no-messages").hidden = messages.length > 0;
  byId("phone-tools").hidden = messages.length === 0;
  byId("no-match").hidden = found.length > 0 || messages.length === 0;
  byId("pages").hidden = pages === 1;
  byId("previous").setAttribute("aria-disabled", String(page === 0));
  byId("next").setAttribute("aria-disabled", String(page === pages - 1));
  setText(byId("range"), `${first + 1} to ${first + shown.length} of ${found.length}`);
}

// Recipients with their messages, newest first; the recipient of the newest message is the first.
function byRecipient(list) {
  const groups = new Map();
  for (const message of [...list].reverse()) {
    if (!groups.has(message.to)) groups.set(message.to, []);
    groups.get(message.to).push(message);
  }
  return [...groups];
}

// The recipients whose address, or a message to whom, contains `words`.
function matching(groups, words) {
  const digits = words.replace(/[\s().-]/g, "");
  const contains = (text) =>
    String(text ?? "")
      .toLowerCase()
      .includes(words);
  return groups.filter(
    ([to, own]) =>
      contains(to) ||
      (digits && to.includes(digits)) ||
      own.some(({ text, code, carrier }) => contains(text) || contains(code) || contains(carrier)),
  );
}

// Removes the elements of phones and messages that are not shown.
function removeOthers(shown) {
  const recipients = new Set(shown.map(([to]) => to));
  const keys = new Set(shown.flatMap(([, own]) => newest(own).map(messageKey)));
  for (const to of phones.keys()) {
    if (!recipients.has(to)) phones.delete(to);
  }
  for (const [key, item] of messageItems) {
    if (keys.has(key)) continue;
    item.remove();
    messageItems.delete(key);
  }
}

const newest = (own) => own.slice(0, MESSAGES_PER_PHONE);

// Puts the phones in this order. An element that is moved loses the focus.
function arrange(items) {
  const list = byId("phone-list");
  const isSame = items.length === list.children.length;
  if (isSame && items.every((item, index) => item === list.children[index])) return;
  const focused = document.activeElement;
  list.replaceChildren(...items);
  if (list.contains(focused)) focused.focus({ preventScroll: true });
}

function showPhone(to, own, added) {
  const phone = phones.get(to) ?? addPhone(to);
  const hidden = own.length - newest(own).length;
  setText(
    phone.count,
    plural(own.length, "message") + (hidden > 0 ? `, the newest ${MESSAGES_PER_PHONE}` : ""),
  );
  for (const message of newest(own).reverse()) {
    const key = messageKey(message);
    if (messageItems.has(key)) continue;
    const item = messageItem(message);
    if (added.has(key)) item.classList.add("new");
    messageItems.set(key, item);
    phone.list.prepend(item);
    phone.screen.scrollTop = 0;
  }
  return phone;
}

// Reads new messages out to users of a screen reader.
function announce(added) {
  const sentences = added.map((m) => `New ${channelName(m.channel)} for ${m.to}: ${m.text}`);
  setText(byId("announcement"), sentences.join(". "));
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

byId("search").addEventListener("input", () => {
  page = 0;
  showPhones();
});
for (const [id, step] of [
  ["previous", -1],
  ["next", 1],
]) {
  byId(id).addEventListener("click", (event) => {
    if (event.target.getAttribute("aria-disabled") === "true") return;
    page += step;
    showPhones();
  });
}
byId("empty-phones").addEventListener("click", (event) =>
  whileBusy(event.target, async () => {
    await request("DELETE", "/local/messages");
    await readMessages();
  }),
);
