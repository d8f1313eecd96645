# SPDX-License-Identifier: Apache-2.0
"""Making a machine a host for the appliance: can it be one, installing, taking it out again."""
