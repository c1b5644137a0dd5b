// A client of Waybill's logs in the standard library alone.
//
//	export WAYBILL_URL=http://127.0.0.1:8000 WAYBILL_TOKEN=wbt_...
//	go run logs.go publish LOG KEY VALUE     stores a message, once however often it is sent
//	go run logs.go consume LOG               prints messages, and goes on with what comes
//	go run logs.go receive PORT SECRET_FILE  prints what an egress webhook sends and signs
//
// Without WAYBILL_TOKEN a daemon on this machine is asked as this machine.
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// A receiver believes what was signed at most so long ago.
const tolerance = 5 * time.Minute

// An egress webhook of klev sends no more than this.
const longest = 128 << 10

// Longer than a consume may wait.
var client = &http.Client{Timeout: time.Minute}

// refused is an answer with a code: {"code": "log-not-found", "message": "..."}.
type refused struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (r *refused) Error() string { return fmt.Sprintf("%d %s: %s", r.Status, r.Code, r.Message) }

// message holds keys and values as bytes: encoding/json reads and writes them in base64.
type message struct {
	Offset int64  `json:"offset"`
	Time   int64  `json:"time"`
	Key    []byte `json:"key,omitempty"`
	Value  []byte `json:"value,omitempty"`
}

func call(method, path string, body any, headers map[string]string, answer any) error {
	base := os.Getenv("WAYBILL_URL")
	if base == "" {
		base = "http://127.0.0.1:8000"
	}
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequest(method, base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	if token := os.Getenv("WAYBILL_TOKEN"); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		why := &refused{Status: response.StatusCode}
		_ = json.NewDecoder(response.Body).Decode(why)
		return why
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

// publish stores a message once: whoever does not hear the answer asks again with the same key.
func publish(log string, key, value []byte) (int64, error) {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return 0, err
	}
	once := map[string]string{"Idempotency-Key": hex.EncodeToString(random)}
	body := map[string]any{"encoding": "base64", "key": key, "value": value}
	var answer struct {
		NextOffset int64 `json:"next_offset"`
	}
	wait := time.Second
	for attempt := 1; ; attempt++ {
		err := call("POST", "/message/"+log, body, once, &answer)
		why, isRefused := err.(*refused)
		if err == nil || attempt == 5 || isRefused && why.Status < 500 {
			return answer.NextOffset, err
		}
		time.Sleep(wait)
		wait *= 2
	}
}

// consume shows each message, and waits for more.
func consume(log string, show func(message)) error {
	offset := int64(-2)
	for {
		var answer struct {
			NextOffset int64     `json:"next_offset"`
			Messages   []message `json:"messages"`
		}
		path := fmt.Sprintf("/messages/%s?offset=%d&len=100&poll=30000&encoding=base64", log, offset)
		if err := call("GET", path, nil, nil, &answer); err != nil {
			return err
		}
		for _, one := range answer.Messages {
			show(one)
		}
		offset = answer.NextOffset
	}
}

// believed tells whether X-Klev-Signature (t=SECONDS;v1=HEX[;v1=HEX]) is one of ours over this body.
func believed(header string, body, secret []byte, now time.Time) bool {
	var seconds string
	var digests [][]byte
	for _, part := range strings.SplitN(header, ";", 66) {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "t":
			if seconds != "" {
				return false
			}
			seconds = value
		case "v1":
			if digest, err := hex.DecodeString(value); err == nil {
				digests = append(digests, digest)
			}
		}
	}
	at, err := strconv.ParseInt(seconds, 10, 64)
	if age := now.Sub(time.Unix(at, 0)); err != nil || age > tolerance || age < -tolerance {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	wanted := mac.Sum(nil)
	for _, digest := range digests {
		if hmac.Equal(digest, wanted) {
			return true
		}
	}
	return false
}

func receive(port string, secret []byte, show func(message)) error {
	handler := func(answer http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(answer, request.Body, longest))
		signatures := request.Header.Values("X-Klev-Signature")
		var one message
		if err != nil || len(signatures) != 1 || !believed(signatures[0], body, secret, time.Now()) ||
			json.Unmarshal(body, &one) != nil {
			// Anything but a 2xx has it sent again.
			answer.WriteHeader(http.StatusUnauthorized)
			return
		}
		show(one)
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(handler),
		ReadHeaderTimeout: 30 * time.Second,
		ReadTimeout:       time.Minute,
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	return server.Serve(listener)
}

func main() {
	show := func(one message) { fmt.Println(one.Offset, string(one.Key), string(one.Value)) }
	words := os.Args[1:]
	var err error
	switch {
	case len(words) == 4 && words[0] == "publish":
		var next int64
		if next, err = publish(words[1], []byte(words[2]), []byte(words[3])); err == nil {
			fmt.Println(next)
		}
	case len(words) == 2 && words[0] == "consume":
		err = consume(words[1], show)
	case len(words) == 3 && words[0] == "receive":
		var secret []byte
		if secret, err = os.ReadFile(words[2]); err == nil {
			err = receive(words[1], bytes.TrimSpace(secret), show)
		}
	default:
		err = fmt.Errorf("publish LOG KEY VALUE, consume LOG, or receive PORT SECRET_FILE")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "logs.go:", err)
		os.Exit(1)
	}
}
