// Makes, with the vendors' own SDKs for Node, the requests for the messages on standard input: a JSON list of
// `{kind, channel, url, key, path, body}`, where `body` is the request of the local server and `url` receives
// that of the SDK. `vendor_language_checks.py` runs it and compares.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(import.meta.url);
const twilio = require("twilio");
const { Auth } = require("@vonage/auth");
const { Messages } = require("@vonage/messages");
const { Voice } = require("@vonage/voice");
const { MessageApiClient } = require("@cmdotcom/text-sdk");
const { SESv2Client, SendEmailCommand } = require("@aws-sdk/client-sesv2");
const sms = require("@aws-sdk/client-pinpoint-sms-voice-v2");

const camelCase = (name) => name[0].toLowerCase() + name.slice(1);
const camelKeys = (object) =>
    Object.fromEntries(Object.entries(object).map(([name, value]) => [name.replace(/_(.)/g, (_, c) => c.toUpperCase()), value]));

const makers = {
    async twilio({ channel, url, body }) {
        const httpClient = {
            async request({ uri, data }) {
                const form = new URLSearchParams();
                for (const [name, value] of Object.entries(data)) {
                    for (const one of [value].flat()) form.append(name, one);
                }
                const path = new URL(uri).pathname;
                await fetch(url + path, { method: "POST", body: form });
                return { statusCode: 201, body: { sid: "SM" + "b".repeat(32) } };
            },
        };
        const client = twilio("AC" + "a".repeat(32), "token", { httpClient });
        const parameters = Object.fromEntries(Object.entries(body).map(([name, value]) => [camelCase(name), value]));
        await (channel === "voice" ? client.calls : client.messages).create(parameters);
    },
    async vonage({ channel, url, body, key }) {
        const auth = new Auth({ apiKey: "abcd1234", apiSecret: "secret", applicationId: "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", privateKey: key });
        if (channel === "voice") {
            await new Voice(auth, { apiHost: url }).createOutboundCall(camelKeys(body));
        } else {
            await new Messages(auth, { apiHost: url }).send(camelKeys(body));
        }
    },
    async cm({ url, body }) {
        const [message] = body.messages.msg;
        const { from, to, reference } = message;
        const built = new MessageApiClient("token").createMessage();
        built.setMessage(to.map(({ number }) => number), from, message.body.content, reference);
        built.messages.msg[0].allowedChannels = message.allowedChannels;
        built.api.basePath = url;
        await built.send();
    },
    async end_user_messaging({ channel, url, body }) {
        const command = channel === "voice" ? sms.SendVoiceMessageCommand : sms.SendTextMessageCommand;
        await aws(sms.PinpointSMSVoiceV2Client, url).send(new command(body));
    },
    async notify({ channel, url, body }) {
        const command = channel === "voice" ? sms.SendNotifyVoiceMessageCommand : sms.SendNotifyTextMessageCommand;
        await aws(sms.PinpointSMSVoiceV2Client, url).send(new command(body));
    },
    async ses({ url, body }) {
        await aws(SESv2Client, url).send(new SendEmailCommand(body));
    },
};

function aws(Client, endpoint) {
    const credentials = { accessKeyId: "local", secretAccessKey: "local" };
    return new Client({ region: "eu-west-1", endpoint, credentials, maxAttempts: 1 });
}

for (const message of JSON.parse(readFileSync(0, "utf8"))) {
    try {
        await makers[message.kind](message);
    } catch (error) {
        // A request that was made is compared even if the SDK does not accept the response.
        console.error(`${message.kind} ${message.channel}: ${error}`);
    }
}
