// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over files, each once: the corpora as tests, without a fuzzer's runtime.
//
//     X FILE|FOLDER ...        exit status 1 when there was no file at all
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static unsigned long replay_file(const char *path, size_t len)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(len ? len : 1); // exactly as long, so that a sanitizer sees its end
    if (!file || !bytes || fread(bytes, 1, len, file) != len) {
        perror(path);
        exit(1);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, len);
    free(bytes);
    return 1;
}

static unsigned long replay(const char *path)
{
    struct stat about;
    if (stat(path, &about)) {
        perror(path);
        exit(1);
    }
    if (!S_ISDIR(about.st_mode))
        return replay_file(path, (size_t)about.st_size);
    unsigned long count = 0;
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char inside[4096];
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.' && stat(inside, &about) == 0 && S_ISREG(about.st_mode))
            count += replay_file(inside, (size_t)about.st_size);
    }
    if (folder)
        closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    unsigned long count = 0;
    for (int i = 1; i < argc; i++)
        count += replay(argv[i]);
    printf("%lu files\n", count);
    return count ? 0 : 1;
}
