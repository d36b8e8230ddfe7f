// A simulated authenticator app and token: codes of RFC 4226 and RFC 6238, by the clock of the
// page. It has the secrets that this tab has seen, because the server shows a secret only once.

// Code of `counter`; `null` where the browser offers no HMAC, as on a page from another machine.
async function authenticatorCode({ secret, algorithm, digits }, counter) {
  if (!globalThis.crypto?.subtle) return null;
  const hash = { sha1: "SHA-1", sha256: "SHA-256", sha512: "SHA-512" }[algorithm];
  const usage = { name: "HMAC", hash };
  const key = await crypto.subtle.importKey("raw", base32Bytes(secret), usage, false, ["sign"]);
  const message = new DataView(new ArrayBuffer(8));
  message.setBigUint64(0, BigInt(counter));
  const mac = new DataView(await crypto.subtle.sign("HMAC", key, message));
  const offset = mac.getUint8(mac.byteLength - 1) % 16;
  const number = (mac.getUint32(offset) % 2 ** 31) % 10 ** digits;
  return String(number).padStart(digits, "0");
}

// The bytes of a secret in base32 without padding.
function base32Bytes(text) {
  const bytes = [];
  let [bits, count] = [0, 0];
  for (const char of text) {
    bits = (bits << 5) | "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(char);
    count += 5;
    if (count < 8) continue;
    count -= 8;
    bytes.push((bits >> count) & 255);
    bits &= (1 << count) - 1;
  }
  return new Uint8Array(bytes);
}

// The step of a TOTP factor at a time in milliseconds.
const totpStep = (period, milliseconds) => Math.floor(milliseconds / 1000 / period);
