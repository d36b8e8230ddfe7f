// A login with the client that hey-api made of the local server's document.
//
//     node login_hey_api.mjs URL API_KEY PHONE_NUMBER
import { client } from './client/client.gen'
import { checkVerification, createVerification } from './client/sdk.gen'

const [baseUrl, auth, to] = process.argv.slice(2)
client.setConfig({ baseUrl, auth })

function expect(isTrue: boolean, shown: unknown) {
  if (!isTrue) throw new Error(`unexpected: ${JSON.stringify(shown)}`)
}

const headers = { 'Idempotency-Key': 'login-1' }
const { data: sent, error } = await createVerification({ body: { to, client_ip: '203.0.113.7' }, headers })
if (!sent) throw new Error(error?.detail)
expect(sent.status === 'pending' && sent.resend_at !== null, sent)

const again = await createVerification({ body: { to } })
expect(again.error?.code === 'rate_limited' && again.error.limit === 'cooldown', again.error)

const phone = await (await fetch(`${baseUrl}/local/messages?wait=5&to=${encodeURIComponent(to)}`)).json()
const code: string = phone.messages.at(-1).code
const wrong = code.slice(0, -1) + (code.endsWith('0') ? '1' : '0')
for (const [attempt, valid] of [[wrong, false], [code, true]] as const) {
  const { data: outcome } = await checkVerification({ path: { id: sent.id }, body: { code: attempt } })
  expect(outcome?.valid === valid, outcome)
}
console.log('Logged in.')
