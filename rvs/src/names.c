/* SPDX-License-Identifier: Apache-2.0 */
#include "rvs/names.h"

static const char *const drop_names[] = {
	[RVIF_DROP_NO_BUFFER] = "no_buffer",
	[RVIF_DROP_NOT_READY] = "not_ready",
	[RVIF_DROP_RX_TOO_BIG] = "rx_too_big",
	[RVIF_DROP_RX_BAD_BUFFER] = "rx_bad_buffer",
	[RVIF_DROP_NO_DESTINATION] = "no_destination",
	[RVIF_DROP_SAME_PORT] = "same_port",
	[RVIF_DROP_ISOLATED] = "isolated",
	[RVIF_DROP_VLAN_EGRESS] = "vlan_egress",
	[RVIF_DROP_STORM] = "storm",
	[RVIF_DROP_INTERRUPTED] = "interrupted",
	[RVIF_DROP_SPOOFED] = "spoofed",
	[RVIF_DROP_MAC_LIMIT] = "mac_limit",
	[RVIF_DROP_VLAN_INGRESS] = "vlan_ingress",
	[RVIF_DROP_RATE] = "rate",
	[RVIF_DROP_LINK_DOWN] = "link_down",
	[RVIF_DROP_BAD_OFFLOAD] = "bad_offload",
	[RVIF_DROP_BAD_SOURCE_MAC] = "bad_source_mac",
	[RVIF_DROP_SHORT] = "short",
	[RVIF_DROP_TX_TOO_BIG] = "tx_too_big",
	[RVIF_DROP_BAD_REGION] = "bad_region",
	[RVIF_DROP_BAD_RANGE] = "bad_range",
	[RVIF_DROP_ZERO_LENGTH] = "zero_length",
	[RVIF_DROP_BAD_FLAGS] = "bad_flags",
	[RVIF_DROP_BAD_CHAIN] = "bad_chain",
};
_Static_assert(sizeof(drop_names) / sizeof(drop_names[0]) == RVIF_DROP_REASONS, "a name for each");

const char *rvif_drop_name(unsigned int reason)
{
	return reason < RVIF_DROP_REASONS ? drop_names[reason] : "unknown";
}

const char *rvif_error_text(long error)
{
	switch (error < 0 ? -error : error) {
	case RVIF_E_OP:
		return "no such operation (driver and switch differ in version)";
	case RVIF_E_QUEUE:
		return "queue number out of range, or the queue is not set up";
	case RVIF_E_ADDR:
		return "address is misaligned or not inside a registered region";
	case RVIF_E_ARG:
		return "argument out of range";
	case RVIF_E_STATE:
		return "not possible in the port's state (closed, started or stopped)";
	case RVIF_E_FULL:
		return "the switch has no source left for another transmit queue";
	case RVIF_E_BUSY:
		return "another CPU of this port is inside the same queue";
	default:
		return "unknown error";
	}
}
