// Package store keeps consignments, in PostgreSQL or in memory. Rules stay out
// of it: a store only makes sure that a rule sees the latest state.
package store

import (
	"context"
	"errors"

	"example.com/longshore/api/internal/consignment"
)

var (
	// ErrNotFound is returned for an ID that no consignment has.
	ErrNotFound = errors.New("no such consignment")
	// ErrDuplicateReference is returned by Create for a reference in use.
	ErrDuplicateReference = errors.New("a consignment with this reference exists")
)

// Page asks for a part of the list of consignments, newest first.
type Page struct {
	Status consignment.Status // empty: any
	Before string             // an ID; empty: from the newest
	Limit  int
}

// Decide is a rule: it takes a consignment as it is, and returns it as it is to
// be with the event that says why, or an error when nothing is to change.
type Decide func(consignment.Consignment) (consignment.Consignment, consignment.Event, error)

// Store is safe for concurrent use.
type Store interface {
	// Name is "postgres" or "memory".
	Name() string
	// Ping returns an error when the store cannot answer now.
	Ping(ctx context.Context) error
	// Create adds a consignment with its first event.
	Create(ctx context.Context, c consignment.Consignment, first consignment.Event) error
	Get(ctx context.Context, id string) (consignment.Consignment, error)
	List(ctx context.Context, page Page) ([]consignment.Consignment, error)
	// Update carries out a decision. Updates of one consignment happen one
	// after the other, and an error of decide is returned as it is.
	Update(ctx context.Context, id string, decide Decide) (consignment.Event, error)
	// Events lists the events of a consignment, oldest first.
	Events(ctx context.Context, id string) ([]consignment.Event, error)
	// Close waits for calls in flight and frees what the store holds.
	Close()
}
