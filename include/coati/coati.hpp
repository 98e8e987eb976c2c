// Everything, in the order in which a newcomer should read it.
#pragma once

#include <coati/client.hpp>
#include <coati/hold.hpp>
#include <coati/supervise.hpp>

#include <coati/bell.hpp>
#include <coati/compose.hpp>
#include <coati/convenience.hpp>
#include <coati/follow.hpp>
#include <coati/subtree.hpp>

#include <coati/recipe/configuration.hpp>
#include <coati/recipe/discovery.hpp>
#include <coati/recipe/leadership.hpp>
#include <coati/recipe/lock.hpp>
#include <coati/recipe/names.hpp>
#include <coati/recipe/presence.hpp>
