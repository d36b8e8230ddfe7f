// Table, queue and dead letters as they are stored, searched for what the phones show.

async function readStoredItems() {
  const response = await request("GET", "/local/state");
  showProblem(byId("stored-verdict"), response);
  if (!response.ok) return;
  const { table, queue, dead_letters } = response.json;
  const readAt = timeOfDay(new Date(simulatedNow()).toISOString());
  setText(
    byId("stored-counts"),
    `${plural(table.length, "item")}, ${plural(queue.length, "queued message")}, ` +
      `${plural(dead_letters.length, "dead letter")}; read at ${readAt}`,
  );
  setText(byId("stored-raw"), prettyJson(response.json));
  const words = new Set(messages.flatMap(({ to, code }) => [to, code]).filter(Boolean));
  const found = [...words].filter((word) => isReadable(word, response.text));
  const verdict = create("strong", {}, verdictWords(words, found));
  const tone = found.length > 0 ? "bad" : "good";
  byId("stored-verdict").replaceChildren(create("p", { class: "box " + tone }, verdict));
}

// Whether `word` is in `text` by itself, and not by chance within a longer number or base64.
function isReadable(word, text) {
  const escaped = word.replace(/^\+/, "").replace(/\W/g, "\\$&");
  return new RegExp(`(?<![\\w/])${escaped}(?![\\w+/=])`, "i").test(text);
}

function verdictWords(words, found) {
  if (found.length > 0) return "Stored in plain text: " + found.join(", ");
  if (words.size === 0) return "No messages yet, so there is nothing to search for.";
  return `None of the ${words.size} codes and recipients on the phones is stored in plain text.`;
}

byId("stored-items").addEventListener("toggle", () => {
  if (byId("stored-items").open) readStoredItems();
});
byId("stored-refresh").addEventListener("click", (event) =>
  whileBusy(event.target, readStoredItems),
);
