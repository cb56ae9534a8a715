// Package httpapi serves consignments over HTTP as JSON. It translates between
// requests and the rules in package consignment, and decides nothing itself.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"example.com/longshore/api/internal/consignment"
	"example.com/longshore/api/internal/store"
)

const (
	healthTimeout  = time.Second // below the 2 s that `server health` waits
	requestTimeout = 10 * time.Second
	defaultLimit   = 20
	maxLimit       = 100
)

// API is what the handlers need.
type API struct {
	Store  store.Store
	Log    *slog.Logger
	Commit string
	Now    func() time.Time
}

// Version says what runs: the answer of /version and of `server version`.
type Version struct {
	Commit string `json:"commit"`
	Go     string `json:"go"`
}

// NewVersion describes this build.
func NewVersion(commit string) Version { return Version{commit, runtime.Version()} }

type health struct {
	Status string `json:"status"`
	Store  string `json:"store"`
}

type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// Routes returns the handler of the whole API.
func (a *API) Routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", a.health)
	mux.HandleFunc("GET /version", a.handle(http.StatusOK, a.version))
	mux.HandleFunc("POST /v1/consignments", a.handle(http.StatusCreated, a.book))
	mux.HandleFunc("GET /v1/consignments", a.handle(http.StatusOK, a.list))
	mux.HandleFunc("GET /v1/consignments/{id}", a.handle(http.StatusOK, a.get))
	mux.HandleFunc("POST /v1/consignments/{id}/events", a.handle(http.StatusCreated, a.report))
	mux.HandleFunc("GET /v1/consignments/{id}/events", a.handle(http.StatusOK, a.events))
	mux.HandleFunc("/", a.handle(0, func(http.ResponseWriter, *http.Request) (any, error) {
		return nil, newProblem(http.StatusNotFound, "not-found", "there is nothing at this path for this method")
	}))
	return mux
}

// handle adapts a handler that may fail: it bounds its time, and turns an error
// into a problem document and, when the service is at fault, a log line.
func (a *API) handle(status int, serve func(http.ResponseWriter, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		body, err := serve(w, r.WithContext(ctx))
		if err == nil {
			writeJSON(w, status, "application/json", body)
			return
		}
		p := problemOf(err)
		if p.Status >= http.StatusInternalServerError {
			a.Log.Error("a request failed", "method", r.Method, "path", r.URL.Path, "error", err.Error())
		}
		writeJSON(w, p.Status, "application/problem+json", p)
	}
}

func (a *API) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	status, body := http.StatusOK, health{"ok", a.Store.Name()}
	if err := a.Store.Ping(ctx); err != nil {
		a.Log.Warn("the store does not answer", "store", a.Store.Name(), "error", err.Error())
		status, body.Status = http.StatusServiceUnavailable, "unavailable"
	}
	writeJSON(w, status, "application/json", body)
}

func (a *API) version(http.ResponseWriter, *http.Request) (any, error) {
	return NewVersion(a.Commit), nil
}

func (a *API) book(w http.ResponseWriter, r *http.Request) (any, error) {
	var booking consignment.Booking
	if err := readJSON(w, r, &booking); err != nil {
		return nil, err
	}
	c, event, err := consignment.Book(booking, a.now())
	if err != nil {
		return nil, err
	}
	if err := a.Store.Create(r.Context(), c, event); err != nil {
		return nil, err
	}
	w.Header().Set("Location", "/v1/consignments/"+c.ID)
	return c, nil
}

func (a *API) list(_ http.ResponseWriter, r *http.Request) (any, error) {
	page, err := parsePage(r.URL.Query())
	if err != nil {
		return nil, err
	}
	limit := page.Limit
	page.Limit++ // one more than is shown tells whether there is a next page
	found, err := a.Store.List(r.Context(), page)
	if err != nil || len(found) <= limit {
		return list[consignment.Consignment]{Items: found}, err
	}
	return list[consignment.Consignment]{found[:limit], found[limit-1].ID}, nil
}

func parsePage(query url.Values) (store.Page, error) {
	page := store.Page{Status: consignment.Status(query.Get("status")), Before: query.Get("before"), Limit: defaultLimit}
	var invalid consignment.InvalidError
	invalid.Require(page.Status == "" || page.Status.Known(), "status", "is not a status")
	invalid.Require(page.Before == "" || consignment.ValidID(page.Before), "before", "must be the next of an earlier page")
	if text := query.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		invalid.Require(err == nil && limit >= 1 && limit <= maxLimit, "limit", "must be from 1 to "+strconv.Itoa(maxLimit))
		page.Limit = limit
	}
	if invalid != nil {
		return page, invalid
	}
	return page, nil
}

func (a *API) get(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	return a.Store.Get(r.Context(), id)
}

func (a *API) report(w http.ResponseWriter, r *http.Request) (any, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	var report consignment.Report
	if err := readJSON(w, r, &report); err != nil {
		return nil, err
	}
	return a.Store.Update(r.Context(), id, func(c consignment.Consignment) (consignment.Consignment, consignment.Event, error) {
		return c.Accept(report, a.now())
	})
}

func (a *API) events(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	events, err := a.Store.Events(r.Context(), id)
	return list[consignment.Event]{Items: events}, err
}

// pathID reads the ID in the path. What is not an ID belongs to no consignment.
func pathID(r *http.Request) (string, error) {
	id := strings.ToLower(r.PathValue("id"))
	if !consignment.ValidID(id) {
		return "", store.ErrNotFound
	}
	return id, nil
}

// now is cut to the microseconds that PostgreSQL keeps, so that the answer to a
// POST equals a later answer to GET.
func (a *API) now() time.Time { return a.Now().UTC().Truncate(time.Microsecond) }
