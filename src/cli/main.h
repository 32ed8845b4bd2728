// SPDX-License-Identifier: Apache-2.0
// The sub-commands' mains. argv begins after the sub-command's name; each returns the exit status:
// 0 done, 1 failed, 2 wrong usage.
#pragma once

int db_main(int argc, char **argv);
int service_main(int argc, char **argv);
int up_main(int argc, char **argv);
int sim_main(int argc, char **argv);
int backup_main(int argc, char **argv);
int restore_main(int argc, char **argv);
int dump_main(int argc, char **argv);
int check_main(int argc, char **argv);
int count_main(int argc, char **argv);
int realtime_main(int argc, char **argv);
