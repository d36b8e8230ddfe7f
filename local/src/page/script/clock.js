// The clock: the server's time, which goes on here between two reads, and the countdowns that use
// it.

let clockOffsetMs = 0;
let clockIsKnown = false;
const simulatedNow = () => Date.now() + clockOffsetMs;

// The server states whole seconds, so half a second is added: the middle of what it may be.
function setClock(now) {
  clockOffsetMs = Date.parse(now) + 500 - Date.now();
  clockIsKnown = true;
  updateTimes();
}

async function readClock() {
  const response = await request("GET", "/local/clock");
  if (response.ok) setClock(response.json.now);
}

async function advanceClock(button, seconds) {
  await whileBusy(button, async () => {
    const body = { advance_seconds: seconds };
    const response = await request("POST", "/local/clock", { body });
    showProblem(byId("clock-problem"), response);
    if (response.ok) setClock(response.json.now);
    await Promise.all([readMessages(), readVerification(), readSubject()]);
  });
}

// Updates the clock and every countdown.
function updateTimes() {
  const now = simulatedNow();
  if (clockIsKnown) {
    const iso = new Date(now).toISOString();
    const aheadSeconds = Math.round(clockOffsetMs / 1000);
    const difference = duration(Math.abs(aheadSeconds));
    const note = `, ${difference} ${aheadSeconds > 0 ? "ahead of" : "behind"} this browser`;
    setText(byId("now"), timeOfDay(iso));
    byId("now").dateTime = iso;
    setText(
      byId("now-note"),
      `UTC, ${iso.slice(0, 10)}` + (Math.abs(aheadSeconds) > 1 ? note : ""),
    );
  }
  for (const element of document.querySelectorAll("[data-until]")) {
    const { until, before = "", done } = element.dataset;
    const secondsLeft = Math.ceil((Number(until) - now) / 1000);
    setText(element, secondsLeft > 0 ? before + duration(secondsLeft) : done);
  }
}

byId("advance").addEventListener("click", (event) => {
  const { seconds } = event.target.dataset;
  if (seconds) advanceClock(event.target, Number(seconds));
});
byId("advance-by").addEventListener("submit", (event) => {
  event.preventDefault();
  advanceClock(byId("advance-by").querySelector("button"), Number(byId("seconds").value));
});
