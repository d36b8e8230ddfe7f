// Logs a user in with a one-time passcode: node login.mjs URL API_KEY PHONE_NUMBER
import { randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

const [url, key, to] = process.argv.slice(2)

// Makes a POST request. The Idempotency-Key makes it safe to repeat one whose response was lost.
async function call(path, body) {
  const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json', 'Idempotency-Key': randomUUID() }
  for (let triesLeft = 2; ; triesLeft--) {
    const request = { method: 'POST', headers, body: JSON.stringify(body), signal: AbortSignal.timeout(10_000) }
    const response = await fetch(url + path, request).catch((error) => {
      if (!triesLeft) throw error // no connection, or no response in time
    })
    if (response?.ok) return response.json()
    const wait = Number(response?.headers.get('Retry-After') ?? 1)
    const problem = await response?.json()
    if (problem && (!triesLeft || !['unavailable', 'in_progress'].includes(problem.code))) throw new Error(message(problem, wait))
    await sleep(wait * 1000)
  }
}

// What the user reads. `detail` is for developers.
const message = ({ code, request_id }, wait) =>
  ({
    rate_limited: `Too many codes were requested. Please try again in ${wait} seconds.`,
    invalid_number: 'Please check the number.',
    number_not_allowed: 'We cannot send codes to this number. Please use another one.',
    country_not_allowed: 'We cannot send codes to this country.',
    invalid_code: 'Please enter the code as it was sent.',
  })[code] ?? `Please try again later. (Request ${request_id})`

async function login() {
  // `client_ip` is the address of the user's device. Keep `id` in the user's session on your server.
  const sent = await call('/v1/verifications', { to, client_ip: '203.0.113.7' })
  const session = { verification: sent.id }
  console.log(`Code sent to ${sent.to}. You can request another one at ${sent.resend_at}.`)

  for await (const code of createInterface(process.stdin)) {
    const check = await call(`/v1/verifications/${session.verification}/check`, { code })
    if (check.valid) return console.log('Logged in.')
    if (check.status !== 'pending') throw new Error('This code can no longer be used. Please request a new one.')
    console.log(`Wrong code. Attempts left: ${check.attempts_left}.`)
  }
}

await login().catch((error) => {
  console.error(error.message)
  process.exitCode = 1
})
