// Checks a published Keten ledger with the packages of Go's checksum database, golang.org/x/mod/sumdb/note and
// sumdb/tlog, which share no code with Keten.
//
//	sumdb LEDGER VERIFIER-KEY OLD-CHECKPOINT CONSISTENCY-PROOF PROOF-FILE...
//
// OLD-CHECKPOINT and CONSISTENCY-PROOF (base64 hashes, a line each) may be "-". Prints the size, or exits with 1.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

// folder reads the tiles of a log below a folder. C2SP's paths leave out the height that Go's paths have.
type folder string

func (f folder) Height() int { return height }

func (f folder) SaveTiles(tiles []tlog.Tile, data [][]byte) {}

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var contents [][]byte
	for _, tile := range tiles {
		name := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
		content, err := os.ReadFile(filepath.Join(string(f), name))
		if err != nil {
			return nil, err
		}
		contents = append(contents, content)
	}
	return contents, nil
}

// leaves reads all entry bundles of a log of the given size.
func (f folder) leaves(size int64) ([][]byte, error) {
	var all [][]byte
	for first := int64(0); first < size; first += 1 << height {
		width := size - first
		if width > 1<<height {
			width = 1 << height
		}
		tile := tlog.Tile{H: height, L: 0, N: first >> height, W: int(width)}
		name := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/0/", height), "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(string(f), name))
		if err != nil {
			return nil, err
		}
		for len(data) > 0 {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				return nil, fmt.Errorf("%s: cut off", name)
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			all = append(all, data[2:end])
			data = data[end:]
		}
	}
	if int64(len(all)) != size {
		return nil, fmt.Errorf("%d leaves, not %d", len(all), size)
	}
	return all, nil
}

// open opens a checkpoint that the verifier's key signed.
func open(text []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return tlog.Tree{}, errors.New("no size")
	}
	hash, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: hash}, err
}

func openFile(name string, verifier note.Verifier) (tlog.Tree, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return tlog.Tree{}, err
	}
	return open(text, verifier)
}

func parseHashes(lines []string) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

// checkTree computes the whole tree from the leaves and compares its root; then asks for every leaf's hash through
// the tiles, which Go checks against the root.
func checkTree(tree tlog.Tree, leaves [][]byte, tiles tlog.HashReader) error {
	var stored []tlog.Hash
	memory := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var hashes []tlog.Hash
		for _, index := range indexes {
			hashes = append(hashes, stored[index])
		}
		return hashes, nil
	})
	for index, leaf := range leaves {
		hashes, err := tlog.StoredHashes(int64(index), leaf, memory)
		if err != nil {
			return err
		}
		stored = append(stored, hashes...)
	}
	root, err := tlog.TreeHash(tree.N, memory)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return errors.New("the leaves do not give the root")
	}
	for first := 0; first < len(leaves); first += 1 << height {
		var indexes []int64
		for at := first; at < len(leaves) && at < first+1<<height; at++ {
			indexes = append(indexes, tlog.StoredHashIndex(0, int64(at)))
		}
		hashes, err := tiles.ReadHashes(indexes)
		if err != nil {
			return err
		}
		for at, hash := range hashes {
			if hash != tlog.RecordHash(leaves[first+at]) {
				return fmt.Errorf("leaf %d is not the one in its tile", first+at)
			}
		}
	}
	return nil
}

// checkRecords proves and checks the inclusion of some leaves.
func checkRecords(tree tlog.Tree, leaves [][]byte, tiles tlog.HashReader) error {
	for _, index := range []int64{0, 1, tree.N / 3, tree.N / 2, tree.N - 2, tree.N - 1} {
		if index < 0 || index >= tree.N {
			continue
		}
		proof, err := tlog.ProveRecord(tree.N, index, tiles)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(leaves[index])); err != nil {
			return fmt.Errorf("record %d: %v", index, err)
		}
	}
	return nil
}

// checkConsistency checks Go's proof and ours that the old tree is the beginning of the new one.
func checkConsistency(tree, old tlog.Tree, ours string, tiles tlog.HashReader) error {
	proof, err := tlog.ProveTree(tree.N, old.N, tiles)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return fmt.Errorf("Go's consistency proof: %v", err)
	}
	text, err := os.ReadFile(ours)
	if err != nil {
		return err
	}
	hashes, err := parseHashes(strings.Fields(string(text)))
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(hashes, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return fmt.Errorf("Keten's consistency proof: %v", err)
	}
	return nil
}

// checkProof checks a c2sp.org/tlog-proof file whose extra data are the leaf.
func checkProof(name string, verifier note.Verifier) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	parts := strings.SplitN(string(text), "\n\n", 2)
	lines := strings.Split(parts[0], "\n")
	if len(parts) != 2 || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("not a proof file")
	}
	leaf, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	hashes, err := parseHashes(lines[3:])
	if err != nil {
		return err
	}
	tree, err := open([]byte(parts[1]), verifier)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(hashes, tree.N, tree.Hash, index, tlog.RecordHash(leaf))
}

func run(arguments []string) (int64, error) {
	verifier, err := note.NewVerifier(arguments[1])
	if err != nil {
		return 0, fmt.Errorf("key: %v", err)
	}
	ledger := folder(arguments[0])
	tree, err := openFile(filepath.Join(arguments[0], "checkpoint"), verifier)
	if err != nil {
		return 0, fmt.Errorf("checkpoint: %v", err)
	}
	leaves, err := ledger.leaves(tree.N)
	if err != nil {
		return 0, err
	}
	tiles := tlog.TileHashReader(tree, ledger)
	if err := checkTree(tree, leaves, tiles); err != nil {
		return 0, err
	}
	if err := checkRecords(tree, leaves, tiles); err != nil {
		return 0, err
	}
	if arguments[2] != "-" {
		// FILE, or FILE,KEY for a log that this one goes on from.
		parts := strings.SplitN(arguments[2], ",", 2)
		signer := verifier
		if len(parts) == 2 {
			if signer, err = note.NewVerifier(parts[1]); err != nil {
				return 0, fmt.Errorf("old key: %v", err)
			}
		}
		old, err := openFile(parts[0], signer)
		if err != nil {
			return 0, fmt.Errorf("old checkpoint: %v", err)
		}
		if err := checkConsistency(tree, old, arguments[3], tiles); err != nil {
			return 0, err
		}
	}
	for _, name := range arguments[4:] {
		if err := checkProof(name, verifier); err != nil {
			return 0, fmt.Errorf("%s: %v", name, err)
		}
	}
	return tree.N, nil
}

func main() {
	if len(os.Args) < 5 {
		fmt.Fprintln(os.Stderr, "usage: sumdb LEDGER VERIFIER-KEY OLD-CHECKPOINT CONSISTENCY-PROOF PROOF-FILE...")
		os.Exit(2)
	}
	size, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(size)
}
