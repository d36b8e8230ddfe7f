// The scenario of Twilio Verify with the official SDK for Java, unpatched.
// Usage: Scenario.java URL ACCOUNT_SID SERVICE_SID API_KEY, with the SDK on the class path.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.twilio.exception.ApiException;
import com.twilio.http.NetworkHttpClient;
import com.twilio.http.Request;
import com.twilio.http.Response;
import com.twilio.http.TwilioRestClient;
import com.twilio.rest.verify.v2.Service;
import com.twilio.rest.verify.v2.service.Verification;
import com.twilio.rest.verify.v2.service.VerificationCheck;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;

public class Scenario {
    static final long SLOWEST_MILLIS = 5000;
    static String url, account, service, key;
    static TwilioRestClient client;
    static int passed;

    /** Sends requests for verify.twilio.com to another host. */
    static class ToHost extends NetworkHttpClient {
        @Override
        public Response makeRequest(Request request) {
            String target = request.getUrl().replace("https://verify.twilio.com", url);
            Request moved = new Request(request.getMethod(), target);
            moved.setAuth(request.getUsername(), request.getPassword());
            moved.setContentType(request.getContentType());
            request.getPostParams().forEach((name, values) -> values.forEach(value -> moved.addPostParam(name, value)));
            request.getHeaderParams().forEach((name, values) -> values.forEach(value -> moved.addHeaderParam(name, value)));
            return super.makeRequest(moved);
        }
    }

    interface Call {
        Object run();
    }

    static TwilioRestClient connect(String secret) {
        return new TwilioRestClient.Builder(account, secret).httpClient(new ToHost()).build();
    }

    static void check(String description, boolean holds, Object found) {
        if (!holds) {
            System.err.println("FAIL " + description + ": " + found);
            System.exit(1);
        }
        passed += 1;
        System.out.println("ok   " + description);
    }

    static ApiException rejected(String description, int status, int code, Call call) {
        long started = System.currentTimeMillis();
        try {
            check(description, false, call.run());
        } catch (ApiException error) {
            boolean isFast = System.currentTimeMillis() - started < SLOWEST_MILLIS;
            check(description, error.getStatusCode() == status && error.getCode() == code && isFast, error);
            return error;
        }
        return null;
    }

    static JsonNode local(String path, String body) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url + path));
        if (body != null) {
            request.header("content-type", "application/json").POST(HttpRequest.BodyPublishers.ofString(body));
        }
        return new ObjectMapper().readTree(HttpClient.newHttpClient().send(request.build(), BodyHandlers.ofString()).body());
    }

    static void advance(Object seconds) throws Exception {
        local("/local/clock", "{\"advance_seconds\":" + seconds + "}");
    }

    static String codeOf(String to) throws Exception {
        advance(0);
        String encoded = URLEncoder.encode(to, StandardCharsets.UTF_8);
        JsonNode messages = local("/local/messages?to=" + encoded, null).get("messages");
        return messages.get(messages.size() - 1).get("code").asText();
    }

    static String wrong(String right) {
        return right.substring(0, right.length() - 1) + (right.endsWith("2") ? "3" : "2");
    }

    static Verification create(String to) {
        return Verification.creator(service, to, "sms").create(client);
    }

    static VerificationCheck checkCode(String to, String code) {
        return VerificationCheck.creator(service).setTo(to).setCode(code).create(client);
    }

    static String number(int n) {
        return "+1212" + n + "0199";
    }

    public static void main(String[] arguments) throws Exception {
        url = arguments[0];
        account = arguments[1];
        service = arguments[2];
        key = arguments[3];
        client = connect(key);

        String first = number(201);
        Verification created = create(first);
        check("create", created.getStatus().equals("pending") && created.getTo().equals(first), created);
        Verification fetched = Verification.fetcher(service, created.getSid()).fetch(client);
        check("fetch", fetched.getDateCreated().equals(created.getDateCreated()), fetched);
        String right = codeOf(first);
        VerificationCheck checked = checkCode(first, wrong(right));
        check("wrong code", checked.getStatus().equals("pending") && !checked.getValid(), checked);
        checked = checkCode(first, right);
        check("right code", checked.getStatus().equals("approved") && checked.getValid(), checked);
        ApiException gone = rejected("gone after approval", 404, 20404, () -> checkCode(first, right));
        check("how it ended", gone.getDetails().get("status").equals("approved"), gone.getDetails());

        String second = number(202);
        created = create(second);
        String code = codeOf(second);
        checked = VerificationCheck.creator(service).setVerificationSid(created.getSid()).setCode(code).create(client);
        check("check by sid", checked.getStatus().equals("approved"), checked);

        Verification ended = Verification.updater(service, create(number(203)).getSid(), Verification.Status.CANCELED).update(client);
        check("cancel", ended.getStatus().equals("canceled") && !ended.getValid(), ended);
        ended = Verification.updater(service, create(number(204)).getSid(), Verification.Status.APPROVED).update(client);
        check("approve", ended.getStatus().equals("approved") && ended.getValid(), ended);

        String third = number(205);
        create(third);
        String unused = codeOf(third);
        for (int n = 0; n < 5; n += 1) {
            checked = checkCode(third, wrong(unused));
        }
        check("five wrong codes", checked.getStatus().equals("pending") && !checked.getValid(), checked);
        rejected("exhausted", 429, 60202, () -> checkCode(third, unused));

        String fourth = number(206);
        created = create(fourth);
        ApiException early = rejected("resend within the cooldown", 429, 20429, () -> create(fourth));
        advance(early.getDetails().get("retry_after"));
        Verification again = Verification.creator(service, fourth, "call").create(client);
        check("resend after the cooldown", again.getSid().equals(created.getSid()), again);
        check("two attempts to send", again.getSendCodeAttempts().size() == 2, again);

        // The SDK repeats each 429 once.
        advance(0);
        String phone = URLEncoder.encode(fourth, StandardCharsets.UTF_8);
        JsonNode sent = local("/local/messages?to=" + phone, null).get("messages");
        check("retries sent nothing", sent.size() == 2, sent);

        String fifth = number(207);
        created = Verification.creator(service, fifth, "sms").setAmount("€12.50").setPayee("Shop").create(client);
        check("amount and payee", created.getAmount().equals("€12.50"), created);
        code = codeOf(fifth);
        checked = VerificationCheck.creator(service).setTo(fifth).setCode(code).setAmount("€99").setPayee("Shop").create(client);
        check("another amount", !checked.getValid(), checked);
        checked = VerificationCheck.creator(service).setTo(fifth).setCode(code).setAmount("€12.50").setPayee("Shop").create(client);
        check("same payment", checked.getValid(), checked);

        rejected("bad number", 400, 60200, () -> create("+1202"));
        rejected("fixed line", 403, 60205, () -> create("+33142685300"));
        String other = "VA" + "0".repeat(32);
        rejected("wrong service", 404, 20404, () -> Verification.creator(other, fifth, "sms").create(client));
        TwilioRestClient stranger = connect("wrong" + key);
        rejected("wrong secret", 401, 20003, () -> Service.fetcher(service).fetch(stranger));
        Service found = Service.fetcher(service).fetch(client);
        check("service", found.getSid().equals(service) && found.getCodeLength() == 6, found);

        System.out.println("Java: " + passed + " checks");
        System.exit(0);
    }
}
