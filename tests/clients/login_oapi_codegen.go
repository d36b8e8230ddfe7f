// A login with the client that oapi-codegen made of the local server's document.
//
//	go run . URL API_KEY PHONE_NUMBER
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
)

func main() {
	base, key, to := os.Args[1], os.Args[2], os.Args[3]
	ctx := context.Background()
	authorize := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+key)
		return nil
	}
	client, err := NewClientWithResponses(base, WithRequestEditorFn(authorize))
	check(err)

	idempotencyKey := "login-1"
	params := &CreateVerificationParams{IdempotencyKey: &idempotencyKey}
	sent, err := client.CreateVerificationWithResponse(ctx, params, CreateVerification{To: to})
	check(err)
	if sent.JSON201 == nil || sent.JSON201.Status != VerificationStatusPending {
		log.Fatalf("%s", sent.Body)
	}
	again, err := client.CreateVerificationWithResponse(ctx, nil, CreateVerification{To: to})
	check(err)
	if problem := again.ApplicationproblemJSON429; problem == nil || *problem.Limit != "cooldown" {
		log.Fatalf("%s", again.Body)
	}

	code := readCode(base, to)
	wrong := code[:len(code)-1] + "0"
	if wrong == code {
		wrong = code[:len(code)-1] + "1"
	}
	for _, attempt := range []string{wrong, code} {
		outcome, err := client.CheckVerificationWithResponse(ctx, sent.JSON201.Id, nil, Check{Code: attempt})
		check(err)
		if outcome.JSON200 == nil || outcome.JSON200.Valid != (attempt == code) {
			log.Fatalf("%s", outcome.Body)
		}
	}
	fmt.Println("Logged in.")
}

func readCode(base, to string) string {
	response, err := http.Get(base + "/local/messages?wait=5&to=" + url.QueryEscape(to))
	check(err)
	defer response.Body.Close()
	var phone struct{ Messages []struct{ Code string } }
	check(json.NewDecoder(response.Body).Decode(&phone))
	return phone.Messages[len(phone.Messages)-1].Code
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
