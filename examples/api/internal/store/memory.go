package store

import (
	"context"
	"slices"
	"sync"

	"example.com/longshore/api/internal/consignment"
)

// Memory is a Store that forgets everything when the process ends.
type Memory struct {
	mu         sync.Mutex
	byID       map[string]*entry
	references map[string]bool
	ids        []string // ascending, so oldest first
}

type entry struct {
	consignment consignment.Consignment
	events      []consignment.Event
}

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{byID: map[string]*entry{}, references: map[string]bool{}}
}

func (*Memory) Name() string               { return "memory" }
func (*Memory) Ping(context.Context) error { return nil }
func (*Memory) Close()                     {}

func (m *Memory) Create(_ context.Context, c consignment.Consignment, first consignment.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.references[c.Reference] {
		return ErrDuplicateReference
	}
	m.references[c.Reference] = true
	m.byID[c.ID] = &entry{c, []consignment.Event{first}}
	at, _ := slices.BinarySearch(m.ids, c.ID)
	m.ids = slices.Insert(m.ids, at, c.ID)
	return nil
}

func (m *Memory) Get(_ context.Context, id string) (consignment.Consignment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.byID[id]; ok {
		return e.consignment, nil
	}
	return consignment.Consignment{}, ErrNotFound
}

func (m *Memory) List(_ context.Context, page Page) ([]consignment.Consignment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []consignment.Consignment{}
	for _, id := range slices.Backward(m.ids) {
		if len(list) == page.Limit {
			break
		}
		c := m.byID[id].consignment
		if (page.Before == "" || id < page.Before) && (page.Status == "" || c.Status == page.Status) {
			list = append(list, c)
		}
	}
	return list, nil
}

func (m *Memory) Update(_ context.Context, id string, decide Decide) (consignment.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.byID[id]
	if !ok {
		return consignment.Event{}, ErrNotFound
	}
	c, event, err := decide(e.consignment)
	if err != nil {
		return consignment.Event{}, err
	}
	e.consignment, e.events = c, append(e.events, event)
	return event, nil
}

func (m *Memory) Events(_ context.Context, id string) ([]consignment.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.byID[id]; ok {
		return slices.Clone(e.events), nil
	}
	return nil, ErrNotFound
}
