// Command coredns is CoreDNS with the few plugins that a test cluster needs:
// names of services and pods, a cache, health and errors.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func main() {
	// The directives fix the order in which a query passes the plugins.
	dnsserver.Directives = []string{"bind", "errors", "health", "cache", "kubernetes"}
	coremain.Run()
}
