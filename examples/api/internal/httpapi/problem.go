package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"example.com/longshore/api/internal/consignment"
	"example.com/longshore/api/internal/store"
)

// problem is an error as the client sees it: a problem document of RFC 9457.
type problem struct {
	Type   string                   `json:"type"`
	Title  string                   `json:"title"`
	Status int                      `json:"status"`
	Detail string                   `json:"detail"`
	Errors []consignment.FieldError `json:"errors,omitempty"`
}

func (p problem) Error() string { return p.Detail }

func newProblem(status int, kind, detail string) problem {
	return problem{Type: "/problems/" + kind, Title: http.StatusText(status), Status: status, Detail: detail}
}

// problemOf says how an error looks from outside. What went wrong inside the
// service stays in its log.
func problemOf(err error) problem {
	var known problem
	var invalid consignment.InvalidError
	var rule consignment.RuleError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &invalid):
		p := newProblem(http.StatusUnprocessableEntity, "invalid-input", "the input is not valid")
		p.Errors = invalid
		return p
	case errors.As(err, &rule):
		return newProblem(http.StatusConflict, "rule-violated", rule.Error())
	case errors.Is(err, store.ErrDuplicateReference):
		return newProblem(http.StatusConflict, "duplicate-reference", err.Error())
	case errors.Is(err, store.ErrNotFound):
		return newProblem(http.StatusNotFound, "not-found", err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return newProblem(http.StatusServiceUnavailable, "timeout", "the request took too long; try again")
	default:
		return newProblem(http.StatusInternalServerError, "internal", "the request failed inside the service")
	}
}

func writeJSON(w http.ResponseWriter, status int, contentType string, value any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the only cause of an error is a client that left
}

const maxBody = 64 << 10

// readJSON reads a request's body strictly: one JSON value, no unknown members.
func readJSON(w http.ResponseWriter, r *http.Request, value any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(value)
	if err == nil {
		if _, err = decoder.Token(); err == io.EOF {
			return nil
		}
		err = errors.New("there is more after the JSON value")
	}
	var tooLarge *http.MaxBytesError
	var badType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &tooLarge):
		return newProblem(http.StatusRequestEntityTooLarge, "too-large", fmt.Sprintf("the body has more than %d bytes", maxBody))
	case errors.As(err, &badType):
		return newProblem(http.StatusBadRequest, "malformed-body", fmt.Sprintf("%q cannot be a JSON %s", badType.Field, badType.Value))
	default:
		return newProblem(http.StatusBadRequest, "malformed-body", "the body cannot be read: "+strings.TrimPrefix(err.Error(), "json: "))
	}
}
