// The functions' metrics under their CloudWatch names. What is drawn is also there as text.

const COUNTRIES_MAX = 8;
// The dimension of what does not exist: the country of an e-mail address, the carrier of a message
// that none accepted.
const NONE = "-";

const countryNames = new Intl.DisplayNames(["en"], { type: "region" });
const countryName = (code) => (code === NONE ? "E-mail" : countryNames.of(code));
const percent = (part, all) => (all > 0 ? `${Math.round((100 * part) / all)} %` : "\u2013");
let metricsText = "";

async function readMetrics() {
  const response = await request("GET", "/local/metrics");
  if (!response.ok || response.text === metricsText) return;
  metricsText = response.text;
  const { metrics } = response.json;
  const select = (name, ...dimensions) =>
    metrics.filter(
      (metric) =>
        metric.name === name && Object.keys(metric.dimensions).join() === dimensions.join(),
    );
  const rejections = select("Refusals", "limit");
  drawTotals(select, rejections);
  byId("charts").hidden = metrics.length === 0;
  drawTimes("reported", select("SendToReportSeconds")[0], "message");
  drawTimes("approved", select("SendToApprovalSeconds")[0], "approval");
  drawRejections(rejections);
  drawCountries(select("Sends", "country"), select("Approvals", "country"));
  drawDeliveries(select("Deliveries", "carrier", "status"));
}

function drawTotals(select, rejections) {
  const total = (name) => select(name)[0]?.sum ?? 0;
  const delivered = select("Deliveries", "status").find(
    (metric) => metric.dimensions.status === "delivered",
  );
  const totals = {
    Sends: total("Sends"),
    Rejected: sumOf(rejections, (metric) => metric.sum),
    Delivered: delivered?.sum ?? 0,
    Checks: total("Checks"),
    Approvals: total("Approvals"),
    Conversion: percent(total("Approvals"), total("Sends")),
  };
  const facts = Object.entries(totals).map(([name, value]) =>
    create("div", {}, create("dt", {}, name), create("dd", {}, String(value))),
  );
  byId("totals").replaceChildren(...facts);
}

// A histogram: one column per bucket, relative to the largest bucket.
function drawTimes(id, metric, noun) {
  const buckets = metric?.buckets ?? [];
  const largest = Math.max(...buckets.map((bucket) => bucket.count), 1);
  setText(
    byId(id + "-note"),
    metric
      ? `${plural(metric.count, noun)}: median ${duration(metric.p50)}, 90 % within ${duration(metric.p90)}`
      : "None yet",
  );
  byId(id).replaceChildren(...buckets.map((bucket) => column(bucket, largest)));
}

function column({ up_to_seconds: bound, count }, largest) {
  const bar = create("i", { "aria-hidden": "true" });
  bar.style.height = `${(5.5 * count) / largest}rem`;
  const words = `${bound === null ? "longer" : "up to " + duration(bound)}: ${count}`;
  return create(
    "li",
    {},
    create("span", { class: "unseen" }, words),
    create("span", { "aria-hidden": "true" }, count > 0 ? String(count) : ""),
    bar,
    create("small", { "aria-hidden": "true" }, shortBound(bound)),
  );
}

function shortBound(seconds) {
  if (seconds === null) return "+";
  return seconds < 60 ? seconds + "s" : seconds / 60 + "m";
}

// A bar of a width from 0 to 1. With `part`, from 0 to 1, that part of it is marked.
function bar(width, part) {
  const whole = create("span", part === undefined ? {} : { class: "pale" });
  whole.style.width = `${100 * width}%`;
  if (part !== undefined) {
    const marked = create("span");
    marked.style.width = `${100 * part}%`;
    whole.append(marked);
  }
  return create("div", { class: "bar", "aria-hidden": "true" }, whole);
}

function drawRejections(rejections) {
  const sorted = rejections.toSorted((a, b) => b.sum - a.sum);
  const total = sumOf(rejections, (metric) => metric.sum);
  setText(byId("rejections-note"), total > 0 ? `${total} in total` : "None yet");
  const items = sorted.map(({ dimensions, sum }) =>
    create(
      "li",
      {},
      create("code", {}, dimensions.limit),
      create("span", {}, String(sum)),
      bar(sum / sorted[0].sum),
    ),
  );
  byId("rejections").replaceChildren(...items);
}

function drawCountries(sends, approvals) {
  const approvalsOf = (country) =>
    approvals.find((metric) => metric.dimensions.country === country)?.sum ?? 0;
  const all = sends
    .map(({ dimensions, sum }) => ({
      name: countryName(dimensions.country),
      sent: sum,
      approved: approvalsOf(dimensions.country),
    }))
    .sort((a, b) => b.sent - a.sent);
  const rows = all.slice(0, COUNTRIES_MAX);
  const others = all.slice(COUNTRIES_MAX);
  if (others.length > 0) {
    const sent = sumOf(others, (row) => row.sent);
    const approved = sumOf(others, (row) => row.approved);
    rows.push({ name: `${others.length} more`, sent, approved });
  }
  const largest = Math.max(...all.map((row) => row.sent), 1);
  const items = rows.map(({ name, sent, approved }) =>
    create(
      "li",
      {},
      create("span", {}, name),
      create("span", {}, `${approved} of ${sent} sent, ${percent(approved, sent)}`),
      bar(Math.min(sent / largest, 1), Math.min(approved / Math.max(sent, 1), 1)),
    ),
  );
  byId("countries").replaceChildren(...items);
}

// A table: one row per carrier.
function drawDeliveries(deliveries) {
  setText(
    byId("deliveries-note"),
    deliveries.length > 0 ? "A message counts once in each status that it has had." : "None yet",
  );
  if (deliveries.length === 0) return byId("deliveries-table").replaceChildren();
  const statuses = Object.keys(DELIVERY_STATUSES).filter((status) =>
    deliveries.some((metric) => metric.dimensions.status === status),
  );
  const largest = Math.max(...deliveries.map((metric) => metric.sum), 1);
  const headings = ["Carrier", ...statuses].map((words) =>
    create("th", { scope: "col" }, words),
  );
  const carriers = [...new Set(deliveries.map((metric) => metric.dimensions.carrier))]
    .sort((a, b) => (a === NONE) - (b === NONE))
    .map((carrier) => {
      const own = deliveries.filter((metric) => metric.dimensions.carrier === carrier);
      return carrierRow(carrier, own, statuses, largest);
    });
  byId("deliveries-table").replaceChildren(
    create("thead", {}, create("tr", {}, ...headings)),
    create("tbody", {}, ...carriers),
  );
}

function carrierRow(carrier, deliveries, statuses, largest) {
  const heading = carrier === NONE ? "no carrier" : carrier;
  return create(
    "tr",
    {},
    create("th", { scope: "row", class: "mono" }, heading),
    ...statuses.map((status) => statusCell(deliveries, status, largest)),
  );
}

// The count of a status, shaded relative to `largest`.
function statusCell(deliveries, status, largest) {
  const own = deliveries.filter((metric) => metric.dimensions.status === status);
  const sum = sumOf(own, (metric) => metric.sum);
  const cell = create("td", {}, sum > 0 ? String(sum) : "");
  if (sum > 0) {
    cell.dataset.tone = status === "sent" ? "none" : DELIVERY_STATUSES[status][0];
    cell.style.setProperty("--share", Math.sqrt(Math.min(sum / largest, 1)));
  }
  return cell;
}
