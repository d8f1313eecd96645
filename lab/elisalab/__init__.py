# SPDX-License-Identifier: Apache-2.0
"""The lab: an emulated Intel host (Bochs) that runs the appliance's scenarios, or this machine if it can."""
