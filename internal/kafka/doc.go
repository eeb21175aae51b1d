// SPDX-License-Identifier: Apache-2.0

// Package kafka asks Kafka brokers what a checkpoint has to fit: the ids of topics
// and where their partitions begin and end. It needs the right Describe on the
// topics, asks for metadata and offsets alone, and never creates a topic.
//
// Judge holds what a query will read next against that. Spark itself notices some of
// it only in its first batch, and a topic that was created again and has grown past
// the offsets not at all.
package kafka
