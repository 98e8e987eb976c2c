// The compiled part of coati, for header-only use: include this in exactly one source file of your
// program and link nothing. These are the very same files that the library is built from, so there
// is one truth and no macro but those of the features (COATI_HAS_TLS, COATI_HAS_SASL), which the
// build sets. Everything else of your program includes the ordinary headers only.

#pragma once

#include "acl.cpp"
#include "auth.cpp"
#include "config.cpp"
#include "ensemble_config.cpp"
#include "errc.cpp"

#include "protocol/exchange.cpp"
#include "protocol/watch_table.cpp"

#include "engine.cpp"
#include "engine_base.cpp"
#include "engine_calls.cpp"
#include "engine_dial.cpp"
#include "engine_lease.cpp"
#include "engine_move.cpp"
#include "engine_sasl.cpp"
#include "engine_serve.cpp"
#include "engine_servers.cpp"
#include "engine_session.cpp"
#include "engine_version.cpp"
#include "four_letters.cpp"
#include "service.cpp"
#include "tcp.cpp"
#include "tls_error.cpp"
#ifdef COATI_HAS_SASL
#include "sasl.cpp"
#endif
#ifdef COATI_HAS_TLS
#include "tls.cpp"
#include "tls_context.cpp"
#endif

#include "bell.cpp"
#include "client.cpp"
#include "client_admin.cpp"
#include "client_convenience.cpp"
#include "client_ensemble.cpp"
#include "client_follow.cpp"
#include "client_multi.cpp"
#include "client_protected.cpp"
#include "client_reads.cpp"
#include "client_subtree.cpp"
#include "client_writes.cpp"
#include "compose.cpp"
#include "recipe/configuration.cpp"
#include "supervise.cpp"
#include "watch.cpp"
#include "watch_stream.cpp"

#include "recipe/claim.cpp"
#include "recipe/guarded.cpp"
#include "recipe/leadership.cpp"
#include "recipe/line.cpp"
#include "recipe/lock.cpp"
#include "recipe/names.cpp"
#include "recipe/presence.cpp"
#include "recipe/presence_steps.cpp"
#include "recipe/service_codec.cpp"
#include "recipe/service_picking.cpp"
#include "recipe/service_registration.cpp"
#include "recipe/service_view.cpp"
#include "recipe/tenure.cpp"
