// Facts about a cluster as franz-go sees it. usage: franz BOOTSTRAP PREFIX [PART ...]
package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: franz BOOTSTRAP PREFIX [PART ...]")
		os.Exit(2)
	}
	f := &facts{bootstrap: os.Args[1], prefix: os.Args[2], ctx: context.Background()}
	f.client = f.with()
	f.admin = kadm.NewClient(f.client)
	defer f.client.Close()
	parts := []struct {
		name string
		tell func(*facts)
	}{
		{"topics", topics}, {"configs", configs}, {"cluster", cluster}, {"produce", produce}, {"consume", consume},
		{"offsets", offsets}, {"groups", groups}, {"next", nextGeneration}, {"transactions", transactions},
	}
	for _, part := range parts {
		if len(os.Args) == 3 || slices.Contains(os.Args[3:], part.name) {
			part.tell(f)
		}
	}
}
