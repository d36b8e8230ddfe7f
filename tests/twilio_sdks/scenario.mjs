// The scenario of Twilio Verify with the official SDK for Node, unpatched.
// Usage: scenario.mjs URL ACCOUNT_SID SERVICE_SID API_KEY; NODE_PATH has the package twilio.
import { createRequire } from "node:module";

const twilio = createRequire(`${process.env.NODE_PATH}/`)("twilio");
const [url, account, serviceSid, key] = process.argv.slice(2);
const SLOWEST_MILLIS = 5000;

// `autoRetry` repeats every 429 with a backoff.
const connect = (secret) => {
  const client = twilio(account, secret, { autoRetry: true, maxRetries: 2 });
  client.verify.baseUrl = url;
  return client;
};
const client = connect(key);
const service = client.verify.v2.services(serviceSid);
let passed = 0;

function check(description, holds, found) {
  if (!holds) {
    console.error(`FAIL ${description}:`, found);
    process.exit(1);
  }
  passed += 1;
  console.log(`ok   ${description}`);
}

async function rejected(description, status, code, call) {
  const started = Date.now();
  const error = await call().then((value) => value, (error) => error);
  const isFast = Date.now() - started < SLOWEST_MILLIS;
  check(description, error.status === status && error.code === code && isFast, error);
  return error;
}

async function local(path, body) {
  const post = { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  return (await fetch(url + path, body ? post : {})).json();
}

const advance = (seconds) => local("/local/clock", { advance_seconds: seconds });

async function codeOf(to) {
  await advance(0);
  const { messages } = await local(`/local/messages?to=${encodeURIComponent(to)}`);
  const { code } = messages.at(-1);
  return [code, code.slice(0, -1) + (code.endsWith("2") ? "3" : "2")];
}

const create = (to, more) => service.verifications.create({ to, channel: "sms", ...more });
const checkCode = (parameters) => service.verificationChecks.create(parameters);
const number = (n) => `+1212${n}0199`;

let to = number(201);
let created = await create(to);
check("create", created.status === "pending" && created.to === to && !created.valid, created);
const fetched = await service.verifications(created.sid).fetch();
check("fetch", fetched.sid === created.sid && +fetched.dateCreated === +created.dateCreated, fetched);
let [right, wrong] = await codeOf(to);
let checked = await checkCode({ to, code: wrong });
check("wrong code", checked.status === "pending" && checked.valid === false, checked);
checked = await checkCode({ to, code: right });
check("right code", checked.status === "approved" && checked.valid === true, checked);
const gone = await rejected("gone after approval", 404, 20404, () => checkCode({ to, code: right }));
check("how it ended", gone.details.status === "approved", gone.details);

to = number(202);
created = await create(to);
[right] = await codeOf(to);
checked = await checkCode({ verificationSid: created.sid, code: right });
check("check by sid", checked.status === "approved", checked);

const canceled = await service.verifications((await create(number(203))).sid).update({ status: "canceled" });
check("cancel", canceled.status === "canceled" && !canceled.valid, canceled);
const approved = await service.verifications((await create(number(204))).sid).update({ status: "approved" });
check("approve", approved.status === "approved" && approved.valid === true, approved);

to = number(205);
await create(to);
[right, wrong] = await codeOf(to);
for (let n = 0; n < 5; n += 1) checked = await checkCode({ to, code: wrong });
check("five wrong codes", checked.status === "pending" && !checked.valid, checked);
await rejected("exhausted", 429, 60202, () => checkCode({ to, code: right }));

to = number(206);
created = await create(to);
const early = await rejected("resend within the cooldown", 429, 20429, () => create(to));
await advance(early.details.retry_after);
const again = await create(to, { channel: "call" });
check("resend after the cooldown", again.sid === created.sid && again.sendCodeAttempts.length === 2, again);

await advance(0);
const sent = await local(`/local/messages?to=${encodeURIComponent(to)}`);
check("retries sent nothing", sent.messages.length === 2, sent);

to = number(207);
const payment = { amount: "€12.50", payee: "Shop" };
created = await create(to, payment);
check("amount and payee", created.amount === "€12.50" && created.payee === "Shop", created);
[right] = await codeOf(to);
checked = await checkCode({ to, code: right, amount: "€99", payee: "Shop" });
check("another amount", checked.valid === false, checked);
checked = await checkCode({ to, code: right, ...payment });
check("same payment", checked.valid === true, checked);

await rejected("bad number", 400, 60200, () => create("+1202"));
await rejected("fixed line", 403, 60205, () => create("+33142685300"));
const other = client.verify.v2.services(`VA${"0".repeat(32)}`);
await rejected("wrong service", 404, 20404, () => other.verifications.create({ to, channel: "sms" }));
await rejected("wrong secret", 401, 20003, () => connect(`wrong${key}`).verify.v2.services(serviceSid).fetch());
const fetchedService = await service.fetch();
check("service", fetchedService.sid === serviceSid && fetchedService.codeLength === 6, fetchedService);

console.log(`Node: ${passed} checks`);
