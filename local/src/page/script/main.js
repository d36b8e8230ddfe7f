// The start: API keys, and a poll every second while the page is visible.

const POLL_MS = 1000;
const TICK_MS = 250;
const VERIFICATION_POLLS = 2;
const CARRIER_POLLS = 3;
const CLOCK_POLLS = 10;

// Empty if the file was opened without the server.
const apiKeys = parseJson(byId("api-keys").textContent) ?? [];
byId("key").value = apiKeys[0]?.key ?? "";
byId("app").append(...apiKeys.map(({ app, key }) => create("option", { value: key }, app)));
byId("app-field").hidden = apiKeys.length < 2;
byId("app").addEventListener("change", () => {
  byId("key").value = byId("app").value;
});

restoreForm();
labelRecipient();
setCurrent(saved().current ?? null);
readVerification();
byId("subject-id").value = saved().subject ?? byId("subject-id").value;
if (saved().subject) openSubject();

byId("reset").addEventListener("click", (event) =>
  whileBusy(event.target, async () => {
    const response = await request("POST", "/local/reset");
    showProblem(byId("reset-problem"), response);
    if (response.ok) setClock(response.json.now);
    const reads = [readMessages(), readVerification(), readCarriers(), readSubject()];
    await Promise.all(reads);
  }),
);

let polls = 0;
let isPolling = false;

async function poll() {
  if (document.visibilityState !== "visible" || isPolling) return;
  isPolling = true;
  try {
    await readMessages();
    if (polls % VERIFICATION_POLLS === 0 && verification?.status === "pending") {
      await readVerification();
    }
    if (polls % CARRIER_POLLS === 0) await readCarriers();
    if (polls % CLOCK_POLLS === 0) await readClock();
    await readMetrics();
    polls += 1;
  } finally {
    isPolling = false;
  }
}

document.addEventListener("visibilitychange", poll);
setInterval(poll, POLL_MS);
setInterval(() => {
  updateTimes();
  updateAuthenticators();
}, TICK_MS);
poll();
