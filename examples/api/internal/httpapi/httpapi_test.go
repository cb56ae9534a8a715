package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/longshore/api/internal/consignment"
	"example.com/longshore/api/internal/httpapi"
	"example.com/longshore/api/internal/pgtest"
	"example.com/longshore/api/internal/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type client struct {
	t       *testing.T
	handler http.Handler
	log     *bytes.Buffer
}

func newClient(t *testing.T, st store.Store) client {
	log := &bytes.Buffer{}
	logger := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	api := &httpapi.API{Store: st, Log: logger, Commit: "abc", Now: func() time.Time {
		clock = clock.Add(time.Second)
		return clock
	}}
	return client{t, httpapi.Logged(logger, api.Routes()), log}
}

// each runs a test on both stores.
func each(t *testing.T, test func(*testing.T, client)) {
	t.Run("memory", func(t *testing.T) { test(t, newClient(t, store.NewMemory())) })
	t.Run("postgres", func(t *testing.T) {
		discard := slog.New(slog.DiscardHandler)
		db, err := store.OpenPostgres(t.Context(), pgtest.URL(t), 10*time.Second, discard)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		if err := db.Migrate(t.Context(), discard); err != nil {
			t.Fatal(err)
		}
		test(t, newClient(t, db))
	})
}

// call makes a request and wants a status and a JSON document in return.
func (c client) call(method, path, body string, status int) (map[string]any, http.Header) {
	c.t.Helper()
	answer := httptest.NewRecorder()
	c.handler.ServeHTTP(answer, httptest.NewRequest(method, path, strings.NewReader(body)))
	if answer.Code != status {
		c.t.Fatalf("%s %s: got %d, want %d: %s", method, path, answer.Code, status, answer.Body)
	}
	want := "application/json"
	if status >= 400 && path != "/health" {
		want = "application/problem+json"
	}
	if got := answer.Header().Get("Content-Type"); got != want {
		c.t.Errorf("%s %s: Content-Type %q, want %q", method, path, got, want)
	}
	var document map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &document); err != nil {
		c.t.Fatalf("%s %s: %v: %s", method, path, err, answer.Body)
	}
	return document, answer.Header()
}

func booking(reference string) string {
	return fmt.Sprintf(`{"reference":%q,"shipper":"Nordwind GmbH","consignee":"Acme Ltd","origin":"DEHAM","destination":"GBLON","weight_grams":1200}`, reference)
}

func (c client) book(reference string) string {
	c.t.Helper()
	document, _ := c.call("POST", "/v1/consignments", booking(reference), http.StatusCreated)
	return document["id"].(string)
}

func TestBookAndGet(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		booked, header := c.call("POST", "/v1/consignments", booking("REF-1"), http.StatusCreated)
		if booked["status"] != "booked" || booked["weight_grams"] != 1200.0 || booked["created_at"] != "2026-01-02T03:04:06Z" {
			t.Errorf("booked: %v", booked)
		}
		got, _ := c.call("GET", header.Get("Location"), "", http.StatusOK)
		if fmt.Sprint(got) != fmt.Sprint(booked) {
			t.Errorf("got %v, want %v", got, booked)
		}
		// An ID is the same in upper case.
		c.call("GET", "/v1/consignments/"+strings.ToUpper(booked["id"].(string)), "", http.StatusOK)
		problem, _ := c.call("POST", "/v1/consignments", booking("REF-1"), http.StatusConflict)
		if problem["type"] != "/problems/duplicate-reference" {
			t.Errorf("a second booking: %v", problem)
		}
	})
}

func TestListPagesNewestFirst(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		empty, _ := c.call("GET", "/v1/consignments", "", http.StatusOK)
		if items, ok := empty["items"].([]any); !ok || len(items) != 0 {
			t.Errorf("an empty list: %v", empty)
		}
		var first string
		for i := range 5 {
			id := c.book(fmt.Sprintf("REF-%d", i))
			if i == 0 {
				first = id
			}
		}
		c.call("POST", "/v1/consignments/"+first+"/events", `{"status":"cancelled","location":"DEHAM"}`, http.StatusCreated)

		for _, test := range []struct{ query, want string }{
			{"limit=2", "REF-4 REF-3 | REF-2 REF-1 | REF-0"},
			{"limit=5", "REF-4 REF-3 REF-2 REF-1 REF-0"},
			{"limit=3&status=booked", "REF-4 REF-3 REF-2 | REF-1"},
			{"status=cancelled", "REF-0"},
			{"status=held", ""},
		} {
			var pages []string
			for next := ""; ; {
				page, _ := c.call("GET", "/v1/consignments?"+test.query+"&before="+next, "", http.StatusOK)
				var references []string
				for _, item := range page["items"].([]any) {
					references = append(references, item.(map[string]any)["reference"].(string))
				}
				pages = append(pages, strings.Join(references, " "))
				var more bool
				if next, more = page["next"].(string); !more || len(pages) > 5 {
					break
				}
			}
			if got := strings.Join(pages, " | "); got != test.want {
				t.Errorf("%s: got %q, want %q", test.query, got, test.want)
			}
		}
	})
}

func TestEventsFollowTheRules(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		path := "/v1/consignments/" + c.book("REF-1")
		for _, step := range []struct {
			event  string
			status int
			answer string // the event's status, or a part of the problem's detail
		}{
			{`{"status":"delivered","location":"GBLON","signed_by":"J. Doe"}`, 409, "a consignment that is booked cannot become delivered"},
			{`{"status":"collected","location":"DEHAM"}`, 201, "collected"},
			{`{"status":"cancelled","location":"DEHAM"}`, 409, "cannot become cancelled"},
			{`{"status":"in_transit","location":"DEHAM"}`, 201, "in_transit"},
			{`{"status":"held","location":"NLRTM"}`, 201, "held"},
			{`{"status":"delivered","location":"GBLON","signed_by":"J. Doe"}`, 409, "held cannot become delivered"},
			{`{"status":"in_transit","location":"NLRTM"}`, 201, "in_transit"},
			{`{"status":"delivered","location":"NLRTM","signed_by":"J. Doe"}`, 409, "delivered at its destination, GBLON"},
			{`{"status":"delivered","location":"GBLON","signed_by":"J. Doe"}`, 201, "delivered"},
			{`{"status":"in_transit","location":"GBLON"}`, 409, "delivered cannot become in_transit"},
		} {
			document, _ := c.call("POST", path+"/events", step.event, step.status)
			if !strings.Contains(fmt.Sprint(document["status"], document["detail"]), step.answer) {
				t.Errorf("%s: got %v, want %q", step.event, document, step.answer)
			}
		}
		var statuses []string
		events, _ := c.call("GET", path+"/events", "", http.StatusOK)
		for _, item := range events["items"].([]any) {
			statuses = append(statuses, item.(map[string]any)["status"].(string))
		}
		if got, want := strings.Join(statuses, " "), "booked collected in_transit held in_transit delivered"; got != want {
			t.Errorf("events: got %q, want %q", got, want)
		}
		if got, _ := c.call("GET", path, "", http.StatusOK); got["status"] != "delivered" {
			t.Errorf("the consignment: %v", got)
		}
	})
}

func TestBadInput(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		id := c.book("REF-1")
		nobody := "/v1/consignments/0190a0a0-0000-7000-8000-000000000000"
		for _, test := range []struct {
			method, path, body string
			status             int
			want               string // names of the fields, or a part of the detail
		}{
			{"POST", "/v1/consignments", `{}`, 422, "reference shipper consignee origin destination weight_grams"},
			{"POST", "/v1/consignments", strings.Replace(booking("REF-2"), "GBLON", "DEHAM", 1), 422, "destination"},
			{"POST", "/v1/consignments", strings.Replace(booking("REF-2"), "Acme", `\u0000`, 1), 422, "consignee"},
			{"POST", "/v1/consignments", strings.Replace(booking("REF-2"), "1200", "24000001", 1), 422, "weight_grams"},
			{"POST", "/v1/consignments", strings.Replace(booking("REF-2"), "1200", `"heavy"`, 1), 400, `"weight_grams" cannot be a JSON string`},
			{"POST", "/v1/consignments", `{"id":"mine"}`, 400, `unknown field "id"`},
			{"POST", "/v1/consignments", `{`, 400, "unexpected EOF"},
			{"POST", "/v1/consignments", ``, 400, "EOF"},
			{"POST", "/v1/consignments", booking("REF-2") + `{}`, 400, "more after the JSON value"},
			{"POST", "/v1/consignments", `{"shipper":"` + strings.Repeat("a", 70_000) + `"}`, 413, "more than 65536 bytes"},
			{"POST", "/v1/consignments/" + id + "/events", `{"status":"lost","location":"x","signed_by":"me"}`, 422, "status location signed_by"},
			{"POST", "/v1/consignments/" + id + "/events", `{"status":"delivered","location":"GBLON"}`, 422, "signed_by"},
			{"POST", nobody + "/events", `{"status":"collected","location":"DEHAM"}`, 404, "no such consignment"},
			{"GET", nobody, "", 404, "no such consignment"},
			{"GET", nobody + "/events", "", 404, "no such consignment"},
			{"GET", "/v1/consignments/1", "", 404, "no such consignment"},
			{"GET", "/v1/consignments?status=lost&before=1&limit=101", "", 422, "status before limit"},
			{"GET", "/v1/consignments?limit=x", "", 422, "limit"},
			{"GET", "/nowhere", "", 404, "nothing at this path"},
			{"DELETE", "/v1/consignments/" + id, "", 404, "nothing at this path"},
		} {
			problem, _ := c.call(test.method, test.path, test.body, test.status)
			got := fmt.Sprint(problem["detail"])
			if test.status == 422 {
				var fields []string
				for _, item := range problem["errors"].([]any) {
					fields = append(fields, item.(map[string]any)["field"].(string))
				}
				if got = strings.Join(fields, " "); got != test.want {
					t.Errorf("%s %s %s: got fields %q, want %q", test.method, test.path, test.body, got, test.want)
				}
			} else if !strings.Contains(got, test.want) {
				t.Errorf("%s %s %s: got %q, want %q", test.method, test.path, test.body, got, test.want)
			}
			if problem["status"] != float64(test.status) || problem["title"] == "" || problem["type"] == "" {
				t.Errorf("%s %s: not a whole problem document: %v", test.method, test.path, problem)
			}
		}
	})
}

func TestHealthVersionAndRequestLog(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		health, _ := c.call("GET", "/health", "", http.StatusOK)
		if name := strings.TrimPrefix(t.Name(), "TestHealthVersionAndRequestLog/"); health["status"] != "ok" || health["store"] != name {
			t.Errorf("health: %v", health)
		}
		version, _ := c.call("GET", "/version", "", http.StatusOK)
		if version["commit"] != "abc" || !strings.HasPrefix(version["go"].(string), "go1.") {
			t.Errorf("version: %v", version)
		}
		c.call("GET", "/nowhere", "", http.StatusNotFound)
		var got []string
		for line := range strings.Lines(c.log.String()) {
			var entry map[string]any
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			if _, ok := entry["duration_ms"].(float64); !ok {
				t.Errorf("no duration: %s", line)
			}
			got = append(got, fmt.Sprint(entry["level"], " ", entry["method"], " ", entry["path"], " ", entry["status"]))
		}
		want := "DEBUG GET /health 200, INFO GET /version 200, INFO GET /nowhere 404"
		if strings.Join(got, ", ") != want {
			t.Errorf("log: got %q, want %q", got, want)
		}
	})
}

// broken is a store whose database went away.
type broken struct{ store.Store }

func (broken) Name() string               { return "postgres" }
func (broken) Ping(context.Context) error { return errors.New("connection refused") }
func (broken) Get(context.Context, string) (consignment.Consignment, error) {
	return consignment.Consignment{}, errors.New("connection refused by 10.0.0.7")
}

func TestABrokenStoreIsUnhealthyAndNotExplainedToClients(t *testing.T) {
	c := newClient(t, broken{})
	health, _ := c.call("GET", "/health", "", http.StatusServiceUnavailable)
	if health["status"] != "unavailable" || health["store"] != "postgres" {
		t.Errorf("health: %v", health)
	}
	problem, _ := c.call("GET", "/v1/consignments/0190a0a0-0000-7000-8000-000000000000", "", http.StatusInternalServerError)
	if strings.Contains(fmt.Sprint(problem), "10.0.0.7") || !strings.Contains(c.log.String(), "10.0.0.7") {
		t.Errorf("want the cause in the log only: %v\n%s", problem, c.log)
	}
}
