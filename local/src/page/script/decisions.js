// Decisions about an action of the subject, and which of them the next checks approve.

const DECISION_STATUSES = {
  pending: ["wait", "Needs proof"],
  approved: ["good", "Approved"],
  denied: ["bad", "Denied"],
  expired: ["none", "Expired"],
};

// The decision on the page, as the API returned it; `null` for none.
let decision = null;

async function decide() {
  const context = {};
  for (const [name, raw] of new FormData(byId("decide"))) {
    const value = raw.trim();
    if (value !== "" && name !== "action" && name !== "dry_run") context[name] = value;
  }
  const body = { action: byId("action").value.trim(), context };
  if (byId("dry-run").checked) body.dry_run = true;
  const response = await subjectRequest("POST", "/decisions", { body });
  showProblem(byId("subject-problem"), response);
  showSubjectOutcome("none", "");
  if (response.ok) showDecision(response.json);
}

async function readDecision() {
  const id = decision?.id;
  if (!id) return;
  const response = await subjectRequest("GET", `/decisions/${encodeURIComponent(id)}`);
  if (decision?.id !== id) return; // replaced meanwhile
  if (response.ok) showDecision(response.json);
  else showDecision(null);
}

function showDecision(shown) {
  decision = shown;
  byId("decision").hidden = shown === null;
  if (shown === null) return;
  const [tone, words] = DECISION_STATUSES[shown.status] ?? ["none", shown.status];
  const isPending = shown.status === "pending" && shown.id !== null;
  setText(byId("decision-status"), shown.id ? words : `${words} (dry run)`);
  byId("decision-status").className = "badge " + tone;
  setText(byId("decision-rule"), shown.rule);
  setText(byId("decision-reasons"), shown.reasons.join(", ") || "no condition");
  setText(byId("decision-requires"), proofLists(shown.requires) || "nothing");
  setText(byId("decision-missing"), isPending ? proofLists(shown.missing) : "nothing");
  setText(byId("decision-proven"), proofNames(shown.approved_by).join(", ") || "nothing");
  setCountdown(byId("decision-expires"), isPending ? shown.expires_at : null, "ended");
  byId("decision-use-row").hidden = !isPending;
  byId("decision-deny").hidden = !isPending;
  setText(byId("decision-raw"), prettyJson(shown));
  updateTimes();
}

const proofNames = (proofs) => proofs.map((proof) => PROOFS[proof] ?? proof);
const proofLists = (lists) => lists.map((list) => proofNames(list).join(" and ")).join(", or ");

// The member `decision` of a check for the subject `id`, if the check is to approve the decision.
function decisionOfCheck(id) {
  const isUsed = byId("decision-use").checked && decision?.status === "pending" && decision.id;
  return isUsed && subject?.id === id ? { decision: decision.id } : {};
}

async function deny(button) {
  await whileBusy(button, async () => {
    const path = `/decisions/${encodeURIComponent(decision.id)}`;
    const response = await subjectRequest("DELETE", path);
    showSubjectResult(response, "The decision was denied.");
    byId("decisions-title").focus();
    await readDecision();
  });
}

byId("decide").addEventListener("submit", (event) => {
  event.preventDefault();
  whileBusy(byId("decide").querySelector("button"), decide);
});
byId("decision-deny").addEventListener("click", (event) => deny(event.target));
