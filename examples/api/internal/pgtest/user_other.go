//go:build !linux

package pgtest

import "syscall"

// unprivileged starts PostgreSQL as the present user, who must not be root.
func unprivileged(string) (*syscall.SysProcAttr, error) { return nil, nil }
