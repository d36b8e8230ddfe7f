// Logs a user in with a one-time passcode: go run login.go URL API_KEY PHONE_NUMBER
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
)

type answer struct {
	ID, To, Code string
	Status       any    // of the verification; in a problem, the HTTP status
	ResendAt     string `json:"resend_at"`
	RequestID    string `json:"request_id"`
	AttemptsLeft int    `json:"attempts_left"`
	Valid        bool
}

// Makes a POST request. The Idempotency-Key makes it safe to repeat one whose response was lost.
func call(url, key string, body map[string]string) (result answer) {
	client := http.Client{Timeout: 10 * time.Second}
	document, _ := json.Marshal(body)
	random := make([]byte, 16)
	rand.Read(random)
	for triesLeft := 2; ; triesLeft-- {
		request, err := http.NewRequest("POST", url, bytes.NewReader(document))
		if err != nil {
			log.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+key)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", fmt.Sprintf("%x", random))
		wait := 1
		response, err := client.Do(request)
		if err == nil {
			result = answer{}
			err = json.NewDecoder(response.Body).Decode(&result)
			response.Body.Close()
			if err == nil && response.StatusCode < 300 {
				return result
			}
			if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
				wait = seconds
			}
			if err == nil && (triesLeft == 0 || result.Code != "unavailable" && result.Code != "in_progress") {
				log.Fatal(message(result, wait))
			}
		}
		if triesLeft == 0 {
			log.Fatal(err) // no connection, or no response in time
		}
		time.Sleep(time.Duration(wait) * time.Second)
	}
}

// What the user reads. `detail` is for developers.
func message(problem answer, wait int) string {
	texts := map[string]string{
		"rate_limited":        fmt.Sprintf("Too many codes were requested. Please try again in %d seconds.", wait),
		"invalid_number":      "Please check the number.",
		"number_not_allowed":  "We cannot send codes to this number. Please use another one.",
		"country_not_allowed": "We cannot send codes to this country.",
		"invalid_code":        "Please enter the code as it was sent.",
	}
	if text, ok := texts[problem.Code]; ok {
		return text
	}
	return fmt.Sprintf("Please try again later. (Request %s)", problem.RequestID)
}

func main() {
	log.SetFlags(0)
	url, key, to := os.Args[1], os.Args[2], os.Args[3]
	// `client_ip` is the address of the user's device. Keep the id in the user's session on your server.
	sent := call(url+"/v1/verifications", key, map[string]string{"to": to, "client_ip": "203.0.113.7"})
	fmt.Printf("Code sent to %s. You can request another one at %s.\n", sent.To, sent.ResendAt)

	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		check := call(url+"/v1/verifications/"+sent.ID+"/check", key, map[string]string{"code": lines.Text()})
		if check.Valid {
			fmt.Println("Logged in.")
			return
		}
		if check.Status != "pending" {
			log.Fatal("This code can no longer be used. Please request a new one.")
		}
		fmt.Printf("Wrong code. Attempts left: %d.\n", check.AttemptsLeft)
	}
}
