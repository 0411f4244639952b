#pragma once

// What reading a configuration file needs of C: libyaml's parser, and giving memory back afterwards.
#include <malloc.h>
#include <yaml.h>
