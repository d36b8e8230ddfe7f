// Makes, with Twilio's own SDK for Go, the requests for the messages on standard input: a JSON list of
// `{kind, channel, url, key, path, body}`, where `body` is the request of the local server and `url` receives that of the
// SDK. `vendor_language_checks.py` runs it and compares.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/twilio/twilio-go"
	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

type message struct {
	Channel string
	URL     string
	Body    map[string]any
}

// toHost sends requests for api.twilio.com to another host.
type toHost struct{ url *url.URL }

func (t toHost) RoundTrip(request *http.Request) (*http.Response, error) {
	request.URL.Scheme, request.URL.Host, request.Host = t.url.Scheme, t.url.Host, t.url.Host
	return http.DefaultTransport.RoundTrip(request)
}

func main() {
	var messages []message
	must(json.NewDecoder(os.Stdin).Decode(&messages))
	for _, message := range messages {
		// A request that was made is compared even if the SDK does not accept the response.
		if err := send(message); err != nil {
			fmt.Fprintln(os.Stderr, "twilio", message.Channel, err)
		}
	}
}

func send(message message) error {
	host, err := url.Parse(message.URL)
	must(err)
	account := "AC" + strings.Repeat("a", 32)
	connection := &client.Client{
		Credentials: client.NewCredentials(account, "token"),
		HTTPClient:  &http.Client{Transport: toHost{host}},
	}
	connection.SetAccountSid(account)
	twilio := twilio.NewRestClientWithParams(twilio.ClientParams{Client: connection}).Api
	text := func(name string) string {
		value, _ := message.Body[name].(string)
		return value
	}
	number := func(name string) int {
		value, err := strconv.Atoi(text(name))
		must(err)
		return value
	}
	if message.Channel == "voice" {
		events := []string{}
		for _, event := range message.Body["StatusCallbackEvent"].([]any) {
			events = append(events, event.(string))
		}
		params := (&api.CreateCallParams{}).SetTo(text("To")).SetFrom(text("From")).SetTwiml(text("Twiml"))
		params.SetStatusCallback(text("StatusCallback")).SetStatusCallbackEvent(events).SetTimeout(number("Timeout"))
		_, err = twilio.CreateCall(params)
		return err
	}
	params := (&api.CreateMessageParams{}).SetTo(text("To")).SetFrom(text("From"))
	params.SetStatusCallback(text("StatusCallback")).SetValidityPeriod(number("ValidityPeriod"))
	params.SetProvideFeedback(text("ProvideFeedback") == "true")
	if text("ContentSid") == "" {
		params.SetBody(text("Body"))
	} else {
		params.SetContentSid(text("ContentSid")).SetContentVariables(text("ContentVariables"))
	}
	_, err = twilio.CreateMessage(params)
	return err
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
