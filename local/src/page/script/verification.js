// The forms to send, check, resend and cancel, and the verification that they are about.

// The verification on the page: { id, key }, and its last state.
let current = null;
let verification = null;

const verificationPath = (id, rest = "") => `/v1/verifications/${encodeURIComponent(id)}${rest}`;

async function readVerification() {
  if (!current) return;
  const { id, key } = current;
  const response = await request("GET", verificationPath(id), { key });
  if (current?.id !== id) return; // replaced meanwhile
  if (response.ok) showVerification(response.json);
  else if (response.status === 404) showNoVerification();
}

// The verification that the page is about from now on; `null` for none.
function setCurrent(shown) {
  current = shown;
  save({ current: shown });
}

function showNoVerification() {
  setCurrent(null);
  byId("details").hidden = true;
  byId("verification").hidden = true;
  byId("no-verification").hidden = false;
  setText(byId("no-verification"), "The server no longer has this verification. Send a new code.");
}

function showVerification(shown) {
  const isPending = shown.status === "pending";
  const [tone, words] = VERIFICATION_STATUSES[shown.status] ?? ["none", shown.status];
  verification = shown;
  byId("verification").hidden = false;
  byId("details").hidden = false;
  byId("no-verification").hidden = true;
  setText(byId("recipient"), shown.to);
  setText(byId("about"), about(shown));
  setText(byId("status"), words);
  byId("status").className = "badge " + tone;
  setText(byId("attempts"), String(shown.attempts_left));
  setText(byId("sends"), String(shown.sends_left));
  setCountdown(byId("expires"), isPending ? shown.expires_at : null, isPending ? "" : "ended");
  setCountdown(byId("resend-in"), shown.resend_at, isPending ? "no more" : "ended");
  for (const button of [byId("resend").querySelector("button"), byId("cancel")]) {
    button.setAttribute("aria-disabled", String(!isPending));
  }
  byId("deliveries").replaceChildren(...(shown.deliveries ?? []).map(deliveryItem));
  setText(byId("raw"), prettyJson(shown));
  updateTimes();
}

function about({ channel, subject, locale, purpose, transaction, reference }) {
  const parts = [
    channelName(channel),
    subject && "subject " + subject,
    locale,
    purpose !== "default" && "purpose " + purpose,
    transaction && `${transaction.amount} ${transaction.currency} to ${transaction.payee}`,
    reference,
  ];
  return parts.filter(Boolean).join(" · ");
}

function deliveryItem(delivery) {
  const [tone, words] = DELIVERY_STATUSES[delivery.status] ?? ["none", delivery.status];
  const carrier = delivery.carrier ? " by " + delivery.carrier : "";
  const at = delivery.updated_at;
  return create(
    "li",
    { "data-tone": tone },
    `${channelName(delivery.channel)}${carrier}: ${words} `,
    create("time", { datetime: at, title: at, class: "soft" }, timeOfDay(at)),
  );
}

// A countdown to `iso`; without it the text `otherwise`.
function setCountdown(element, iso, otherwise) {
  if (iso) {
    element.dataset.until = Date.parse(iso);
  } else {
    delete element.dataset.until;
    setText(element, otherwise);
  }
}

// The body of a send. Fields that are left empty are left out.
function sendBody() {
  const body = {};
  const transaction = {};
  for (const [name, raw] of new FormData(byId("send"))) {
    const value = raw.trim();
    if (value === "" && name !== "to") continue;
    if (name.startsWith("transaction.")) {
      transaction[name.slice("transaction.".length)] = value;
    } else if (name === "fallback") {
      body.fallback = value.split(/[\s,]+/).filter(Boolean);
    } else if (name === "code_length" || name === "ttl_seconds") {
      body[name] = /^\d+$/.test(value) ? Number(value) : value;
    } else {
      body[name] = value;
    }
  }
  if (Object.keys(transaction).length > 0) body.transaction = transaction;
  return body;
}

// Marks the fields that a response rejects.
function markFields(response) {
  const rejected = new Set((response.problem?.errors ?? []).map((error) => error.field));
  for (const input of byId("send").querySelectorAll("input[name]:not([type=radio])")) {
    if (rejected.has(input.name) || rejected.has(input.name.split(".")[0])) {
      input.setAttribute("aria-invalid", "true");
      input.closest("details")?.setAttribute("open", "");
    } else {
      input.removeAttribute("aria-invalid");
    }
  }
}

// The result of a check, or a note; empty words clear it.
function showOutcome(tone, words) {
  const box = words && create("p", { class: "box " + tone }, create("strong", {}, words));
  byId("outcome").replaceChildren(...(box ? [box] : []));
}

// Whether the phones are below the code field, and not beside it.
const isOneColumn = () => matchMedia("(max-width: 799px)").matches;

async function send() {
  const key = byId("key").value.trim();
  const idempotencyKey = byId("idempotency").value.trim();
  const headers = idempotencyKey ? { "Idempotency-Key": idempotencyKey } : {};
  const response = await request("POST", "/v1/verifications", { body: sendBody(), headers, key });
  showProblem(byId("send-problem"), response);
  markFields(response);
  if (!response.ok) return readVerification();
  showProblem(byId("verification-problem"), null);
  showOutcome("none", response.replayed ? "Replayed: same verification, no second message." : "");
  setCurrent({ id: response.json.id, key });
  showVerification(response.json);
  byId("code").value = "";
  byId("code").focus({ preventScroll: isOneColumn() });
  if (isOneColumn()) byId("checking").scrollIntoView();
  await readMessages();
}

async function check() {
  const { purpose, transaction } = verification;
  const code = byId("code").value;
  const body = { code, purpose, transaction, ...subjectOfCheck(verification) };
  const path = verificationPath(current.id, "/check");
  const response = await request("POST", path, { body, key: current.key });
  showProblem(byId("verification-problem"), response);
  if (!response.ok) {
    showOutcome("none", "");
  } else if (response.json.valid) {
    showOutcome("good", "The code is correct.");
  } else {
    showOutcome("bad", failureWords(response.json));
    byId("code").select();
  }
  await Promise.all([readVerification(), readSubject()]);
}

function failureWords({ reason, status, attempts_left }) {
  const words = REASONS[reason] ?? String(reason);
  if (reason !== "wrong_code") return words + ".";
  if (status !== "pending") return words + ". That was the last attempt.";
  return `${words}, ${plural(attempts_left, "attempt")} left.`;
}

// Resends or cancels the current verification.
function changeVerification(button, method, rest, body) {
  if (!current || button.getAttribute("aria-disabled") === "true") return;
  whileBusy(button, async () => {
    const { id, key } = current;
    const response = await request(method, verificationPath(id, rest), { body, key });
    showProblem(byId("verification-problem"), response);
    showOutcome("none", "");
    if (response.ok) showVerification(response.json);
    else await readVerification();
    await readMessages();
  });
}

byId("send").addEventListener("submit", (event) => {
  event.preventDefault();
  whileBusy(byId("send").querySelector("button"), send);
});
byId("check").addEventListener("submit", (event) => {
  event.preventDefault();
  if (current) whileBusy(byId("check").querySelector("button"), check);
});
byId("resend").addEventListener("submit", (event) => {
  event.preventDefault();
  const channel = byId("resend-channel").value;
  const button = byId("resend").querySelector("button");
  changeVerification(button, "POST", "/resend", channel ? { channel } : {});
});
byId("cancel").addEventListener("click", () => changeVerification(byId("cancel"), "DELETE", ""));

// What the simulated carriers accept as a device; SNS accepts nothing but such an ARN.
const EXAMPLE_DEVICE = "arn:aws:sns:eu-west-1:123456789012:endpoint/GCM/example/device-1";

const channelInput = (channel) => document.querySelector(`[name=channel][value=${channel}]`);

function labelRecipient() {
  const isEmail = channelInput("email").checked;
  const isPush = channelInput("push").checked;
  const owner = isPush ? "Phone number or e-mail address" : "Phone number";
  setText(byId("to-label"), isEmail ? "E-mail address" : owner);
}

// With the channel, the example recipient changes to one of the right kind.
for (const radio of document.querySelectorAll("[name=channel]")) {
  radio.addEventListener("change", () => {
    const isEmail = radio.value === "email";
    const isPush = radio.value === "push";
    const to = byId("to");
    if (isPush && byId("push_to").value === "") byId("push_to").value = EXAMPLE_DEVICE;
    if (!isPush && isEmail !== to.value.includes("@")) {
      to.value = isEmail ? "ada@example.com" : "+12025550147";
    }
    labelRecipient();
  });
}
// With the recipient, the channel changes to one of the right kind.
byId("to").addEventListener("input", () => {
  const isAddress = byId("to").value.includes("@");
  if (isAddress !== channelInput("email").checked && byId("to").value.trim() !== "") {
    channelInput(isAddress ? "email" : "sms").checked = true;
  }
  labelRecipient();
});
for (const [value, words] of Object.entries(CHANNELS)) {
  byId("resend-channel").append(create("option", { value }, words));
}
