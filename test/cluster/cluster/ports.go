package cluster

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below the range that Linux gives to outgoing
// connections (ip_local_port_range, 32768 up): a port that is free now is not
// taken by a passing client before the server binds it.
const (
	firstPort = 20000
	lastPort  = 32000
)

// freePorts returns n different ports that nobody listens on.
func freePorts(n int) ([]string, error) {
	var ports []string
	for range 100 * n {
		port := strconv.Itoa(firstPort + rand.IntN(lastPort-firstPort))
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			continue
		}
		defer l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("found no %d free ports between %d and %d", n, firstPort, lastPort)
}
