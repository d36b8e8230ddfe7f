// Factors of the subject: enrolment, the simulated authenticator, and checks.

const FACTOR_TYPES = {
  totp: "Authenticator app",
  hotp: "Token with a counter",
  backup_codes: "Backup codes",
};
const FACTOR_STATUSES = {
  unconfirmed: ["wait", "Not confirmed yet"],
  active: ["good", "Active"],
  unreadable: ["bad", "Not readable: its key was removed"],
};
const FACTOR_REASONS = {
  wrong_code: "Wrong code",
  replayed: "This code was already used, or is older than a used one",
  unreadable: "Not compared: the key of the factor was removed",
};

// Elements by the id of the factor, and secrets that this tab has seen.
const factorBoxes = new Map();
const secrets = new Map(Object.entries(saved().secrets ?? {}));

function showFactors(factors) {
  byId("no-factors").hidden = factors.length > 0;
  for (const [id, box] of factorBoxes) {
    if (factors.some((factor) => factor.id === id)) continue;
    box.item.remove();
    factorBoxes.delete(id);
  }
  for (const factor of factors) {
    const box = factorBoxes.get(factor.id) ?? addFactor(factor);
    const [tone, words] = FACTOR_STATUSES[factor.status] ?? ["none", factor.status];
    box.factor = factor;
    box.shown = null;
    setText(box.status, words);
    box.status.className = "badge " + tone;
    setCountdown(box.expires, factor.expires_at, "");
    const left = factor.codes_left;
    setText(box.left, left === undefined ? "" : `${plural(left, "code")} left`);
  }
}

function addFactor({ id, type, name }) {
  const title = name ?? FACTOR_TYPES[type] ?? type;
  const input = create("input", {
    id: "code-" + id,
    class: "mono",
    autocomplete: "off",
    spellcheck: "false",
    inputmode: type === "backup_codes" ? "text" : "numeric",
  });
  const box = {
    input,
    status: create("span", { class: "badge" }),
    expires: create("span", { class: "soft", "data-before": "removed in ", "data-done": "removed" }),
    left: create("span", { class: "soft" }),
    code: create("span", { class: "mono app-code" }),
    item: create("li", { class: "factor stack" }),
  };
  const onFillIn = () => {
    input.value = box.code.textContent;
    input.focus();
  };
  const onRemove = (event) => removeFactor(id, event.target);
  const remove = { type: "button", "aria-label": "Remove " + title, onclick: onRemove };
  const app = create(
    "div",
    { class: "row", hidden: "" },
    create("span", { class: "soft" }, "The simulated device shows"),
    box.code,
    create("button", { type: "button", onclick: onFillIn }, "Fill in"),
  );
  box.app = app;
  const form = create(
    "form",
    { novalidate: "", autocomplete: "off" },
    create("label", { for: input.id }, "Code of " + title),
    create("div", { class: "row" }, input, create("button", { class: "main" }, "Check")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    whileBusy(form.querySelector("button"), () => checkFactor(box));
  });
  const head = create("h4", {}, title);
  box.item.append(
    create("div", { class: "row" }, head, box.status, box.expires, box.left),
    app,
    form,
    create("div", {}, create("button", remove, "Remove")),
  );
  byId("factors").append(box.item);
  factorBoxes.set(id, box);
  return box;
}

async function enrolFactor() {
  const type = byId("factor-type").value;
  const body = { type };
  const name = byId("factor-name").value.trim();
  if (name) body.name = name;
  if (type !== "backup_codes") {
    body.account = byId("factor-account").value.trim();
    body.algorithm = byId("factor-algorithm").value;
    body.digits = Number(byId("factor-digits").value);
    body.qr = true;
  }
  const response = await subjectRequest("POST", "/factors", { body });
  showSubjectResult(response, "Enrolled. This is the only time that its secret is shown.");
  if (!response.ok) return;
  const { id, secret } = response.json;
  if (secret) {
    secrets.set(id, secret);
    save({ secrets: Object.fromEntries([...secrets].slice(-40)) });
  }
  showEnrolled(response.json);
  await readSubject();
}

// What only the response to an enrolment has; `null` clears it.
function showEnrolled(factor) {
  const parts = [];
  if (factor?.qr_svg) {
    const src = "data:image/svg+xml," + encodeURIComponent(factor.qr_svg);
    const alt = "QR code of the authenticator app, with the URI that follows";
    parts.push(create("img", { id: "qr", src, alt, width: "240", height: "240" }));
  }
  if (factor?.uri) parts.push(create("p", { class: "mono" }, factor.uri));
  if (factor?.warnings?.length > 0) {
    parts.push(create("p", { class: "box wait" }, factor.warnings.join(", ")));
  }
  if (factor?.codes) {
    const items = factor.codes.map((code) => {
      const onclick = () => fillInFactor(factor.id, code);
      const attributes = { type: "button", class: "mono", "aria-label": "Fill in " + code, onclick };
      return create("li", {}, create("button", attributes, code));
    });
    parts.push(create("ul", { id: "backup-codes" }, ...items));
  }
  byId("enrolled").replaceChildren(...parts);
}

function fillInFactor(id, code) {
  const input = factorBoxes.get(id)?.input;
  if (!input) return;
  input.value = code;
  input.focus();
}

async function checkFactor({ factor, input }) {
  const body = { code: input.value, ...decisionOfCheck(subject.id) };
  const path = `/factors/${encodeURIComponent(factor.id)}/check`;
  const response = await subjectRequest("POST", path, { body });
  showProblem(byId("subject-problem"), response);
  if (!response.ok) {
    showSubjectOutcome("none", "");
  } else if (response.json.valid) {
    showSubjectOutcome("good", "The code is correct.");
    input.value = "";
  } else {
    const { reason, attempts_left } = response.json;
    const words = FACTOR_REASONS[reason] ?? String(reason);
    showSubjectOutcome("bad", `${words}. ${plural(attempts_left, "attempt")} left.`);
    input.select();
  }
  await readSubject();
}

async function removeFactor(id, button) {
  await whileBusy(button, async () => {
    const response = await subjectRequest("DELETE", `/factors/${encodeURIComponent(id)}`);
    showSubjectResult(response, "The factor was removed.");
    byId("factors-title").focus();
    await readSubject();
  });
}

// Updates what the simulated devices show. A token shows the code of the counter that is expected
// next.
async function updateAuthenticators() {
  if (!clockIsKnown) return;
  for (const [id, box] of factorBoxes) {
    const secret = secrets.get(id);
    if (!secret) continue;
    const { type, period, counter } = box.factor;
    const at = type === "totp" ? totpStep(period, simulatedNow()) : counter;
    if (box.shown === at) continue;
    box.shown = at;
    const code = await authenticatorCode({ ...box.factor, secret }, at);
    box.app.hidden = code === null;
    if (code !== null && box.shown === at) setText(box.code, code);
  }
}

// A set of backup codes has no account and no algorithm.
function showEnrolmentFields() {
  byId("app-fields").hidden = byId("factor-type").value === "backup_codes";
}

byId("factor-type").addEventListener("change", showEnrolmentFields);
byId("enrol").addEventListener("submit", (event) => {
  event.preventDefault();
  whileBusy(byId("enrol").querySelector("button"), enrolFactor);
});
