// Requests to the server, and the problems that it responds with.

const TIMEOUT_MS = 60000;

// Never throws: a failure is returned as a problem document.
async function request(method, path, { body, headers = {}, key } = {}) {
  const init = { method, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) };
  init.headers = { ...headers };
  if (key) init.headers["Authorization"] = "Bearer " + key;
  if (body !== undefined) {
    init.headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  let response, text;
  try {
    response = await fetch(path, init);
    text = await response.text();
  } catch (error) {
    return { ok: false, problem: { title: "The request failed", detail: error.message } };
  }
  const json = parseJson(text);
  if (response.ok && json !== null) {
    return { ok: true, json, text, replayed: response.headers.has("Idempotent-Replayed") };
  }
  const unreadable = {
    title: `Unreadable response, status ${response.status}`,
    detail: text.slice(0, 300),
  };
  return {
    ok: false,
    status: response.status,
    problem: json ?? unreadable,
    retryAfter: response.headers.get("Retry-After"),
  };
}

// `null` for anything that is not JSON.
function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// Shows the problem of a response in `place`, with a countdown to the time of the next attempt;
// clears `place` if there is none.
function showProblem(place, response) {
  place.replaceChildren();
  if (!response || response.ok) return;
  const { title, detail, errors, code, limit, request_id } = response.problem;
  const box = create("div", { class: "box bad" });
  box.append(create("strong", {}, String(title ?? code ?? "Error")));
  if (detail && detail !== title) box.append(create("p", {}, String(detail)));
  if (Array.isArray(errors)) {
    const lines = errors.map((error) =>
      create("li", {}, create("code", {}, String(error.field)), ": " + error.detail),
    );
    box.append(create("ul", {}, ...lines));
  }
  if (response.retryAfter) box.append(retryCountdown(Number(response.retryAfter)));
  const facts = [response.status, code, limit && "limit: " + limit, request_id];
  box.append(create("small", {}, facts.filter(Boolean).join(" · ")));
  place.append(box);
  updateTimes();
}

function retryCountdown(seconds) {
  return create("p", {
    class: "until",
    "aria-live": "off",
    "data-until": simulatedNow() + seconds * 1000,
    "data-before": "Try again in ",
    "data-done": "You can try again now.",
  });
}

// Marks `button` as busy until `work` ends. A second press meanwhile does nothing.
async function whileBusy(button, work) {
  if (button.hasAttribute("aria-busy")) return;
  button.setAttribute("aria-busy", "true");
  try {
    await work();
  } finally {
    button.removeAttribute("aria-busy");
  }
}
