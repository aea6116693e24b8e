// Judges Keten's evidence of a fork with the packages of Go's checksum database, golang.org/x/mod/sumdb/note and
// sumdb/tlog, which share no code with Keten.
//
//	evidence FILE VERIFIER-KEY
//
// Prints "fork" when both checkpoints are signed by the key and cannot be of one log, or when it named two logs that go
// on from them, or exits with 1.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type evidence struct {
	Kept      string   `json:"kept_checkpoint"`
	Shown     string   `json:"shown_checkpoint"`
	OtherRoot string   `json:"other_root"`
	Path      []string `json:"path"`
	KeptLink  string   `json:"kept_link"`
	ShownLink string   `json:"shown_link"`
}

// The verifier key of the log that a link names, when the link is about this very head.
func named(link string, head tlog.Tree, verifier note.Verifier) (string, error) {
	opened, err := note.Open([]byte(link), note.VerifierList(verifier))
	if err != nil {
		return "", err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 6 || lines[0] != "keten.successor/v1" || lines[1] != verifier.Name() ||
		lines[2] != strconv.FormatInt(head.N, 10) || lines[3] != head.Hash.String() {
		return "", errors.New("a link about another head")
	}
	return lines[4], nil
}

func twoSuccessors(found evidence, kept, shown tlog.Tree, verifier note.Verifier) error {
	one, err := named(found.KeptLink, kept, verifier)
	if err != nil {
		return err
	}
	other, err := named(found.ShownLink, shown, verifier)
	if err != nil {
		return err
	}
	if one == other {
		return errors.New("both links name one log")
	}
	return nil
}

func open(text string, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	hash, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: hash}, err
}

func judge(name, key string) error {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var found evidence
	if err := json.Unmarshal(content, &found); err != nil {
		return err
	}
	older, err := open(found.Kept, verifier)
	if err != nil {
		return fmt.Errorf("kept: %v", err)
	}
	newer, err := open(found.Shown, verifier)
	if err != nil {
		return fmt.Errorf("shown: %v", err)
	}
	if found.KeptLink != "" && found.ShownLink != "" {
		return twoSuccessors(found, older, newer, verifier)
	}
	if older.N > newer.N {
		older, newer = newer, older
	}
	if older.N == newer.N {
		if older.Hash == newer.Hash {
			return errors.New("both are the same head")
		}
		return nil
	}
	other, err := tlog.ParseHash(found.OtherRoot)
	if err != nil {
		return fmt.Errorf("other root: %v", err)
	}
	var path tlog.TreeProof
	for _, line := range found.Path {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		path = append(path, hash)
	}
	if err := tlog.CheckTree(path, newer.N, newer.Hash, older.N, other); err != nil {
		return err
	}
	if other == older.Hash {
		return errors.New("the larger log goes on from the smaller one")
	}
	return nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: evidence FILE VERIFIER-KEY")
		os.Exit(2)
	}
	if err := judge(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("fork")
}
