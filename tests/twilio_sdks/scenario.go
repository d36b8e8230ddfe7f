// The scenario of Twilio Verify with the official SDK for Go, unpatched.
// Usage: scenario URL ACCOUNT_SID SERVICE_SID API_KEY, with a key of letters and digits only.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/twilio/twilio-go"
	"github.com/twilio/twilio-go/client"
	verify "github.com/twilio/twilio-go/rest/verify/v2"
)

const slowest = 5 * time.Second

// toHost sends requests for verify.twilio.com to another host.
type toHost struct{ url *url.URL }

func (t toHost) RoundTrip(request *http.Request) (*http.Response, error) {
	request.URL.Scheme, request.URL.Host, request.Host = t.url.Scheme, t.url.Host, t.url.Host
	return http.DefaultTransport.RoundTrip(request)
}

var (
	base, account, service, key = os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	api                         = connect(key)
	passed                      int
)

func connect(secret string) *verify.ApiService {
	host, err := url.Parse(base)
	must(err)
	connection := &client.Client{
		Credentials: client.NewCredentials(account, secret),
		HTTPClient:  &http.Client{Transport: toHost{host}, Timeout: 10 * time.Second},
	}
	connection.SetAccountSid(account)
	return twilio.NewRestClientWithParams(twilio.ClientParams{Client: connection}).VerifyV2
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL", err)
		os.Exit(1)
	}
}

func check(description string, holds bool, found any) {
	if !holds {
		must(fmt.Errorf("%s: %+v", description, found))
	}
	passed++
	fmt.Println("ok  ", description)
}

func rejected(description string, status, code int, call func() error) *client.TwilioRestError {
	started := time.Now()
	err := call()
	var rejection *client.TwilioRestError
	if !errors.As(err, &rejection) {
		must(fmt.Errorf("%s: %v", description, err))
	}
	isFast := time.Since(started) < slowest
	check(description, rejection.Status == status && rejection.Code == code && isFast, err)
	return rejection
}

func local(path string, body, result any) {
	var response *http.Response
	var err error
	if body == nil {
		response, err = http.Get(base + path)
	} else {
		document, _ := json.Marshal(body)
		response, err = http.Post(base+path, "application/json", bytes.NewReader(document))
	}
	must(err)
	defer response.Body.Close()
	must(json.NewDecoder(response.Body).Decode(result))
}

func advance(seconds int) {
	local("/local/clock", map[string]int{"advance_seconds": seconds}, &struct{}{})
}

func codeOf(to string) (right, wrong string) {
	advance(0)
	var phone struct{ Messages []struct{ Code string } }
	local("/local/messages?to="+url.QueryEscape(to), nil, &phone)
	right = phone.Messages[len(phone.Messages)-1].Code
	wrong = right[:len(right)-1] + "2"
	if wrong == right {
		wrong = right[:len(right)-1] + "3"
	}
	return
}

func create(to, channel string) (*verify.VerifyV2Verification, error) {
	parameters := (&verify.CreateVerificationParams{}).SetTo(to).SetChannel(channel)
	return api.CreateVerification(service, parameters)
}

func created(to, channel string) *verify.VerifyV2Verification {
	verification, err := create(to, channel)
	must(err)
	return verification
}

func checkCode(to, code string) (*verify.VerifyV2VerificationCheck, error) {
	parameters := (&verify.CreateVerificationCheckParams{}).SetTo(to).SetCode(code)
	return api.CreateVerificationCheck(service, parameters)
}

func checked(to, code string) *verify.VerifyV2VerificationCheck {
	result, err := checkCode(to, code)
	must(err)
	return result
}

func number(n int) string { return fmt.Sprintf("+1212%d0199", n) }

func update(sid, status string) *verify.VerifyV2Verification {
	parameters := (&verify.UpdateVerificationParams{}).SetStatus(status)
	verification, err := api.UpdateVerification(service, sid, parameters)
	must(err)
	return verification
}

func main() {
	to := number(201)
	first := created(to, "sms")
	check("create", *first.Status == "pending" && *first.To == to, first)
	fetched, err := api.FetchVerification(service, *first.Sid)
	must(err)
	check("fetch", *fetched.Sid == *first.Sid && fetched.DateCreated.Equal(*first.DateCreated), fetched)
	right, wrong := codeOf(to)
	outcome := checked(to, wrong)
	check("wrong code", *outcome.Status == "pending" && !*outcome.Valid, outcome)
	outcome = checked(to, right)
	check("right code", *outcome.Status == "approved" && *outcome.Valid, outcome)
	gone := rejected("gone after approval", 404, 20404, func() error { _, err := checkCode(to, right); return err })
	check("how it ended", gone.Details["status"] == "approved", gone)

	to = number(202)
	second := created(to, "sms")
	right, _ = codeOf(to)
	bySid := (&verify.CreateVerificationCheckParams{}).SetVerificationSid(*second.Sid).SetCode(right)
	outcome, err = api.CreateVerificationCheck(service, bySid)
	must(err)
	check("check by sid", *outcome.Status == "approved", outcome)

	canceled := update(*created(number(203), "sms").Sid, "canceled")
	check("cancel", *canceled.Status == "canceled" && !*canceled.Valid, canceled)
	approved := update(*created(number(204), "sms").Sid, "approved")
	check("approve", *approved.Status == "approved" && *approved.Valid, approved)

	to = number(205)
	created(to, "sms")
	right, wrong = codeOf(to)
	for n := 0; n < 5; n++ {
		outcome = checked(to, wrong)
	}
	check("five wrong codes", *outcome.Status == "pending" && !*outcome.Valid, outcome)
	rejected("exhausted", 429, 60202, func() error { _, err := checkCode(to, right); return err })

	to = number(206)
	first = created(to, "sms")
	early := rejected("resend within the cooldown", 429, 20429, func() error { _, err := create(to, "sms"); return err })
	advance(int(early.Details["retry_after"].(float64)))
	again := created(to, "call")
	check("resend after the cooldown", *again.Sid == *first.Sid && len(*again.SendCodeAttempts) == 2, again)

	to = number(207)
	payment := (&verify.CreateVerificationParams{}).SetTo(to).SetChannel("sms").SetAmount("€12.50").SetPayee("Shop")
	paid, err := api.CreateVerification(service, payment)
	must(err)
	check("amount and payee", *paid.Amount == "€12.50" && *paid.Payee == "Shop", paid)
	right, _ = codeOf(to)
	pay := func(amount string) *verify.VerifyV2VerificationCheck {
		parameters := (&verify.CreateVerificationCheckParams{}).SetTo(to).SetCode(right).SetAmount(amount).SetPayee("Shop")
		result, err := api.CreateVerificationCheck(service, parameters)
		must(err)
		return result
	}
	check("another amount", !*pay("€99").Valid, paid)
	check("same payment", *pay("€12.50").Valid, paid)

	rejected("bad number", 400, 60200, func() error { _, err := create("+1202", "sms"); return err })
	rejected("fixed line", 403, 60205, func() error { _, err := create("+33142685300", "sms"); return err })
	rejected("wrong service", 404, 20404, func() error {
		_, err := api.FetchService("VA00000000000000000000000000000000")
		return err
	})
	rejected("wrong secret", 401, 20003, func() error { _, err := connect("wrong" + key).FetchService(service); return err })
	found, err := api.FetchService(service)
	must(err)
	check("service", *found.Sid == service && found.CodeLength == 6, found)

	fmt.Printf("Go: %d checks\n", passed)
}
