// Package consignment holds the rules of a freight forwarder's consignments:
// what a valid one is and what may happen to it when. It does no I/O.
package consignment

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Status is where a consignment is in its life.
type Status string

// The statuses. Delivered and Cancelled are final.
const (
	Booked    Status = "booked"
	Collected Status = "collected"
	InTransit Status = "in_transit"
	Held      Status = "held"
	Delivered Status = "delivered"
	Cancelled Status = "cancelled"
)

// next lists, for each status, the statuses that may follow it.
var next = map[Status][]Status{
	Booked:    {Collected, Cancelled},
	Collected: {InTransit},
	InTransit: {Held, Delivered},
	Held:      {InTransit},
	Delivered: {},
	Cancelled: {},
}

// Known says whether s is one of the statuses.
func (s Status) Known() bool { _, ok := next[s]; return ok }

// maxWeight, in grams, is what one truck carries: 24 tonnes.
const maxWeight = 24_000_000

// Booking is what a customer sends to book a consignment.
type Booking struct {
	Reference   string `json:"reference"`
	Shipper     string `json:"shipper"`
	Consignee   string `json:"consignee"`
	Origin      string `json:"origin"`
	Destination string `json:"destination"`
	WeightGrams int64  `json:"weight_grams"`
}

// Consignment is goods that travel together.
type Consignment struct {
	ID string `json:"id"`
	Booking
	Status    Status    `json:"status"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Report is what a carrier sends when a consignment reached a status.
type Report struct {
	Status   Status `json:"status"`
	Location string `json:"location"`
	SignedBy string `json:"signed_by,omitempty"`
}

// Event is a report that was accepted.
type Event struct {
	ID string `json:"id"`
	Report
	At time.Time `json:"at"`
}

// FieldError says what is wrong with one field of the input.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// InvalidError is input that would be wrong at any time. It lists every mistake.
type InvalidError []FieldError

func (e InvalidError) Error() string {
	return fmt.Sprintf("the input is not valid: %v", []FieldError(e))
}

// Require adds a mistake unless ok.
func (e *InvalidError) Require(ok bool, field, message string) {
	if !ok {
		*e = append(*e, FieldError{field, message})
	}
}

func (e *InvalidError) requireName(field, value string) {
	e.Require(strings.TrimSpace(value) != "" && utf8.RuneCountInString(value) <= 120 && !control.MatchString(value),
		field, "must be 1 to 120 characters, not blank, without control characters")
}

func (e *InvalidError) requirePlace(field, value string) {
	e.Require(locode.MatchString(value), field, "must be a UN/LOCODE such as DEHAM")
}

// RuleError is valid input that the consignment's present state does not allow.
type RuleError string

func (e RuleError) Error() string { return string(e) }

// Book makes a new consignment and its first event.
func Book(b Booking, now time.Time) (Consignment, Event, error) {
	var invalid InvalidError
	invalid.Require(reference.MatchString(b.Reference), "reference", "must be 1 to 64 of A-Z, 0-9 and '-'")
	invalid.requireName("shipper", b.Shipper)
	invalid.requireName("consignee", b.Consignee)
	invalid.requirePlace("origin", b.Origin)
	invalid.requirePlace("destination", b.Destination)
	invalid.Require(b.Origin == "" || b.Origin != b.Destination, "destination", "must differ from origin")
	invalid.Require(b.WeightGrams >= 1 && b.WeightGrams <= maxWeight, "weight_grams", fmt.Sprintf("must be from 1 to %d", maxWeight))
	if invalid != nil {
		return Consignment{}, Event{}, invalid
	}
	c := Consignment{newID(now), b, Booked, now, now}
	return c, Event{newID(now), Report{Status: Booked, Location: b.Origin}, now}, nil
}

// Accept moves the consignment to the status of a report, when that status may
// follow the present one.
func (c Consignment) Accept(r Report, now time.Time) (Consignment, Event, error) {
	var invalid InvalidError
	invalid.Require(r.Status.Known(), "status", "must be booked, collected, in_transit, held, delivered or cancelled")
	invalid.requirePlace("location", r.Location)
	if r.Status == Delivered {
		invalid.requireName("signed_by", r.SignedBy)
	} else {
		invalid.Require(r.SignedBy == "", "signed_by", "goes with the status delivered only")
	}
	if invalid != nil {
		return c, Event{}, invalid
	}
	if !slices.Contains(next[c.Status], r.Status) {
		return c, Event{}, RuleError(fmt.Sprintf("a consignment that is %s cannot become %s", c.Status, r.Status))
	}
	if r.Status == Delivered && r.Location != c.Destination {
		return c, Event{}, RuleError("a consignment is delivered at its destination, " + c.Destination)
	}
	c.Status, c.UpdatedAt = r.Status, now
	return c, Event{newID(now), r, now}, nil
}

var (
	reference = regexp.MustCompile(`^[A-Z0-9-]{1,64}$`)
	// A UN/LOCODE: a country and a place in it.
	locode = regexp.MustCompile(`^[A-Z]{2}[A-Z2-9]{3}$`)
	// Control characters have no place in a name, and PostgreSQL refuses NUL.
	control = regexp.MustCompile(`\p{Cc}`)
	id      = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

// ValidID says whether text has the form of an ID.
func ValidID(text string) bool { return id.MatchString(text) }

// newID makes a UUID of version 7 (RFC 9562, section 5.7): it begins with the
// time in milliseconds, so that IDs sort by age and a page can end at one.
func newID(now time.Time) string {
	var b [16]byte
	rand.Read(b[6:]) // never fails: crypto/rand ends the process instead
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
