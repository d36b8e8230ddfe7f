// One user of the app: what is left of its attempts, and its verified recipients.

const PROOFS = {
  totp: "authenticator app",
  hotp: "token",
  backup_codes: "backup code",
  sms: "SMS",
  voice: "voice call",
  whatsapp: "WhatsApp",
  email: "e-mail",
};

// The subject on the page: { id, key }; `null` for none.
let subject = null;

const subjectPath = (rest = "") => `/v1/subjects/${encodeURIComponent(subject.id)}${rest}`;
const subjectRequest = (method, rest, options = {}) =>
  request(method, subjectPath(rest), { key: subject.key, ...options });

async function readSubject() {
  if (!subject) return;
  const asked = subject;
  const response = await subjectRequest("GET", "");
  if (subject !== asked) return; // replaced meanwhile
  if (response.ok) showSubject(response.json);
  else showProblem(byId("subject-problem"), response);
  if (response.ok && decision) await readDecision();
}

// Shows the subject in the field. The simulated authenticator keeps its secrets.
async function openSubject() {
  const id = byId("subject-id").value.trim();
  const key = byId("key").value.trim();
  if (subject?.id !== id || subject?.key !== key) {
    showDecision(null);
    showEnrolled(null);
  }
  subject = { id, key };
  save({ subject: id });
  const response = await subjectRequest("GET", "");
  showProblem(byId("subject-problem"), response);
  byId("subject-content").hidden = !response.ok;
  showSubjectOutcome("none", "");
  if (!response.ok) subject = null;
  else showSubject(response.json);
}

function showSubject(shown) {
  const { countries, devices, networks } = shown.places;
  const unlock = shown.unlocks_at && Date.parse(shown.unlocks_at);
  const facts = {
    "Attempts left": fact(shown.attempts_left, unlock),
    "Attempts left, backup codes": fact(shown.backup_attempts_left),
    "Last code of an app": fact(shown.last_strong_at ? timeOfDay(shown.last_strong_at) : "none"),
    "Countries, devices, networks": fact([countries, devices, networks].join(" · ")),
  };
  const entries = Object.entries(facts);
  byId("subject-facts").replaceChildren(
    ...entries.map(([name, value]) => create("div", {}, create("dt", {}, name), value)),
  );
  showFactors(shown.factors);
  byId("no-recipients").hidden = shown.recipients.length > 0;
  byId("recipients").replaceChildren(...shown.recipients.map(recipientItem));
  setText(byId("subject-raw"), prettyJson(shown));
  updateTimes();
}

// A value, and until when attempts are locked.
function fact(value, unlock) {
  const shown = create("dd", {}, String(value));
  if (unlock) {
    const attributes = { "data-until": unlock, "data-before": " for ", "data-done": "" };
    shown.append(create("small", attributes));
  }
  return shown;
}

function recipientItem({ id, to, channel, verified_at, unique }) {
  const name = to ?? "not readable any more";
  const details = [channelName(channel), timeOfDay(verified_at), unique && "owner"];
  const onclick = (event) => removeRecipient(id, event.target);
  return create(
    "li",
    { class: "row" },
    create("bdi", { class: "grow" }, name),
    create("span", { class: "soft" }, details.filter(Boolean).join(" · ")),
    create("button", { type: "button", "aria-label": "Remove " + name, onclick }, "Remove"),
  );
}

async function removeRecipient(id, button) {
  await whileBusy(button, async () => {
    const response = await subjectRequest("DELETE", `/recipients/${encodeURIComponent(id)}`);
    showSubjectResult(response, "The recipient was removed.");
    byId("recipients-title").focus();
    await readSubject();
  });
}

// The result of an action; empty words clear it.
function showSubjectOutcome(tone, words) {
  const box = words && create("p", { class: "box " + tone }, create("strong", {}, words));
  byId("subject-outcome").replaceChildren(...(box ? [box] : []));
}

function showSubjectResult(response, words) {
  showProblem(byId("subject-problem"), response);
  showSubjectOutcome("good", response.ok ? words : "");
}

// Sends a code for the subject. It is checked in the section of the verification.
async function verifyRecipient() {
  const to = byId("recipient-to").value.trim();
  const channel = to.includes("@") ? "email" : "sms";
  const body = { to, channel, subject: subject.id };
  const response = await request("POST", "/v1/verifications", { body, key: subject.key });
  showSubjectResult(response, "Sent. Check the code under Verification.");
  if (!response.ok) return;
  showProblem(byId("verification-problem"), null);
  showOutcome("none", "");
  setCurrent({ id: response.json.id, key: subject.key });
  showVerification(response.json);
  byId("code").value = "";
  byId("code").focus();
  await readMessages();
}

// What the check of a verification names: its subject, and the decision that it is to approve.
function subjectOfCheck(verification) {
  if (!verification.subject) return {};
  return { subject: verification.subject, ...decisionOfCheck(verification.subject) };
}

async function changeSubject(button, method, rest, words) {
  if (!subject) return;
  await whileBusy(button, async () => {
    const response = await subjectRequest(method, rest);
    showSubjectResult(response, words);
    if (response.ok && rest === "") {
      showDecision(null);
      showEnrolled(null);
    }
    await readSubject();
  });
}

byId("subject-form").addEventListener("submit", (event) => {
  event.preventDefault();
  whileBusy(byId("subject-form").querySelector("button"), openSubject);
});
byId("verify-recipient").addEventListener("submit", (event) => {
  event.preventDefault();
  whileBusy(byId("verify-recipient").querySelector("button"), verifyRecipient);
});
byId("subject-unlock").addEventListener("click", (event) =>
  changeSubject(event.target, "POST", "/unlock", "The wrong codes no longer count."),
);
byId("subject-erase").addEventListener("click", (event) =>
  changeSubject(event.target, "DELETE", "", "The subject was erased. Wrong codes still count."),
);
