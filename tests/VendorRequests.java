// Makes, with the vendors' own SDKs for Java, the requests for the messages on standard input: a JSON list of
// `{kind, channel, url, key, path, body}`, where `body` is the request of the local server and `url` receives that of
// the SDK. `vendor_language_checks.py` runs it, with the SDKs on the class path, and compares.

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.twilio.http.NetworkHttpClient;
import com.twilio.http.Request;
import com.twilio.http.Response;
import com.twilio.http.TwilioRestClient;
import com.twilio.rest.api.v2010.account.Call;
import com.twilio.rest.api.v2010.account.Message;
import com.twilio.type.PhoneNumber;
import com.twilio.type.Twiml;
import com.vonage.client.HttpConfig;
import com.vonage.client.VonageClient;
import com.vonage.client.messages.MessagesVersion;
import com.vonage.client.messages.sms.EncodingType;
import com.vonage.client.messages.sms.SmsTextRequest;
import com.vonage.client.messages.whatsapp.WhatsappCustomRequest;
import com.vonage.client.voice.PhoneEndpoint;
import com.vonage.client.voice.TextToSpeechLanguage;
import com.vonage.client.voice.ncco.EventMethod;
import com.vonage.client.voice.ncco.TalkAction;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

public class VendorRequests {
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        for (JsonNode message : JSON.readTree(System.in)) {
            String kind = message.get("kind").asText(), channel = message.get("channel").asText();
            String url = message.get("url").asText();
            try {
                if (kind.equals("twilio")) {
                    twilio(channel, url, message.get("body"));
                } else {
                    vonage(channel, url, message.get("key").asText(), message.get("body"));
                }
            } catch (RuntimeException error) {
                // A request that was made is compared even if the SDK does not accept the response.
                System.err.println(kind + " " + channel + ": " + error);
            }
        }
    }

    /** Sends requests for api.twilio.com to another host. */
    static class ToHost extends NetworkHttpClient {
        final String url;

        ToHost(String url) {
            this.url = url;
        }

        @Override
        public Response makeRequest(Request request) {
            Request moved = new Request(request.getMethod(), request.getUrl().replace("https://api.twilio.com", url));
            moved.setAuth(request.getUsername(), request.getPassword());
            moved.setContentType(request.getContentType());
            request.getPostParams().forEach((name, values) -> values.forEach(value -> moved.addPostParam(name, value)));
            return super.makeRequest(moved);
        }
    }

    static void twilio(String channel, String url, JsonNode body) {
        TwilioRestClient client =
                new TwilioRestClient.Builder("AC" + "a".repeat(32), "token").httpClient(new ToHost(url)).build();
        PhoneNumber to = new PhoneNumber(text(body, "To")), from = new PhoneNumber(text(body, "From"));
        if (channel.equals("voice")) {
            List<String> events = new ArrayList<>();
            body.get("StatusCallbackEvent").forEach(event -> events.add(event.asText()));
            Call.creator(to, from, new Twiml(text(body, "Twiml")))
                    .setStatusCallback(text(body, "StatusCallback"))
                    .setStatusCallbackEvent(events)
                    .setTimeout(body.get("Timeout").asInt())
                    .create(client);
            return;
        }
        var creator = Message.creator(to, from, text(body, "Body"))
                .setStatusCallback(text(body, "StatusCallback"))
                .setValidityPeriod(body.get("ValidityPeriod").asInt())
                .setProvideFeedback(body.get("ProvideFeedback").asBoolean());
        if (body.has("ContentSid")) {
            creator.setContentSid(text(body, "ContentSid")).setContentVariables(text(body, "ContentVariables"));
        }
        creator.create(client);
    }

    static void vonage(String channel, String url, String key, JsonNode body) {
        VonageClient client = VonageClient.builder()
                .httpConfig(HttpConfig.builder().baseUri(url).build())
                .applicationId("aaaaaaaa-bbbb-cccc-dddd-0123456789ab")
                .privateKeyContents(key)
                .build();
        if (channel.equals("voice")) {
            JsonNode talk = body.get("ncco").get(0);
            client.getVoiceClient().createCall(com.vonage.client.voice.Call.builder()
                    .to(new PhoneEndpoint(text(body.get("to").get(0), "number")))
                    .from(text(body.get("from"), "number"))
                    .eventUrl(body.get("event_url").get(0).asText())
                    .eventMethod(EventMethod.valueOf(text(body, "event_method")))
                    .ringingTimer(body.get("ringing_timer").asInt())
                    .ncco(TalkAction.builder(text(talk, "text"))
                            .language(TextToSpeechLanguage.fromString(text(talk, "language")))
                            .loop(talk.get("loop").asInt())
                            .build())
                    .build());
        } else if (channel.equals("whatsapp")) {
            Map<String, Object> custom = JSON.convertValue(body.get("custom"), new TypeReference<>() {});
            client.getMessagesClient().sendMessage(WhatsappCustomRequest.builder()
                    .to(text(body, "to"))
                    .from(text(body, "from"))
                    .clientRef(text(body, "client_ref"))
                    .webhookUrl(text(body, "webhook_url"))
                    .webhookVersion(MessagesVersion.fromString(text(body, "webhook_version")))
                    .custom(custom)
                    .build());
        } else {
            client.getMessagesClient().sendMessage(SmsTextRequest.builder()
                    .to(text(body, "to"))
                    .from(text(body, "from"))
                    .text(text(body, "text"))
                    .ttl(body.get("ttl").asInt())
                    .encodingType(EncodingType.fromString(text(body.get("sms"), "encoding_type")))
                    .clientRef(text(body, "client_ref"))
                    .webhookUrl(text(body, "webhook_url"))
                    .webhookVersion(MessagesVersion.fromString(text(body, "webhook_version")))
                    .build());
        }
    }

    /** Null for a member that is missing. */
    static String text(JsonNode object, String name) {
        JsonNode value = object.get(name);
        return value == null ? null : value.asText();
    }
}
