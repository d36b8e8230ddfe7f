// Logs a user in with a one-time passcode: send, show when a resend is possible, check, map errors.
//
//     cargo run                    # in another terminal; prints the URL and the API key
//     node examples/login.mjs http://127.0.0.1:8080 otp_test_local_development_key +12025550142
//     ... --demo                   # reads the code from the local phone instead of asking for it
import { randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline/promises'
import { setTimeout as sleep } from 'node:timers/promises'

const [baseUrl, apiKey, to, option] = process.argv.slice(2)
const demo = option === '--demo'

// What the user reads, by error code.
const messages = {
  rate_limited: (wait) => `Too many codes were requested. Please try again in ${wait} seconds.`,
  invalid_number: () => 'Please check the number.',
  country_not_allowed: () => 'We cannot send codes to this country.',
  number_not_allowed: () => 'We cannot send codes to this number. Please use another one.',
  invalid_code: () => 'Please enter the code as it was sent.',
}

class Problem extends Error {
  constructor(document, wait) {
    const text = messages[document.code] ?? (() => `Please try again later. (Request ${document.request_id})`)
    super(text(wait))
  }
}

// Returns the response body. The Idempotency-Key makes it safe to repeat a call that failed.
async function call(method, path, body) {
  const headers = { Authorization: `Bearer ${apiKey}`, 'Content-Type': 'application/json', 'Idempotency-Key': randomUUID() }
  const request = { method, headers, body: body && JSON.stringify(body) }
  for (let triesLeft = 2; ; triesLeft--) {
    let wait = 1
    try {
      const response = await fetch(baseUrl + path, { ...request, signal: AbortSignal.timeout(10_000) })
      if (response.ok) return await response.json()
      wait = Number(response.headers.get('Retry-After') ?? wait)
      const document = await response.json()
      if (!triesLeft || !['unavailable', 'in_progress'].includes(document.code)) throw new Problem(document, wait)
    } catch (error) {
      if (error instanceof Problem || !triesLeft) throw error
    }
    await sleep(wait * 1000)
  }
}

async function readCode(attempt) {
  if (!demo) {
    const terminal = createInterface(process)
    return await terminal.question('Code: ').finally(() => terminal.close())
  }
  await call('POST', '/local/clock', { advance_seconds: 0 }) // returns when all due messages are handed over
  const phone = await call('GET', `/local/messages?to=${encodeURIComponent(to)}`)
  const { code } = phone.messages.at(-1)
  return attempt ? code : code.slice(0, -1) + ((Number(code.at(-1)) + 1) % 10) // a typing error first
}

async function login() {
  // `client_ip`: the address of the end user's device.
  const sent = await call('POST', '/v1/verifications', { to, client_ip: '203.0.113.7' })
  console.log(`Code sent to ${sent.to}. You can request another one at ${sent.resend_at}.`)
  for (let attempt = 0; attempt < 10; attempt++) {
    const check = await call('POST', `/v1/verifications/${sent.id}/check`, { code: await readCode(attempt) })
    if (check.valid) return console.log('Logged in.')
    if (check.status !== 'pending') throw new Error('This code can no longer be used. Please start again.')
    console.log(`Wrong code. Attempts left: ${check.attempts_left}.`)
  }
}

await login().catch((error) => {
  console.error(error.message)
  process.exitCode = 1
})
