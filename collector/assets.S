// SPDX-License-Identifier: Apache-2.0
// The page as web/build.sh made it, plain and gzip, inside the program.
        .section .rodata
        .macro asset name, file
        .global asset_\name, asset_\name\()_end
asset_\name:
        .incbin "build/web/\file"
asset_\name\()_end:
        .byte 0
        .endm
        asset index_html, index.html
        asset index_html_gz, index.html.gz
        asset app_js, app.js
        asset app_js_gz, app.js.gz
        asset app_css, app.css
        asset app_css_gz, app.css.gz
        .section .note.GNU-stack, "", @progbits
