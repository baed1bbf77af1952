# gnuplot cobyla_quantum.gp draws cobyla_quantum.svg
set terminal svg size 720,440 dynamic background '#ffffff' font 'sans-serif,14' enhanced
set output 'cobyla_quantum.svg'
set encoding utf8
set key outside right top noenhanced
set border 3
set tics nomirror
set grid ytics lc rgb '#dddddd'
set title 'first version, quantum' noenhanced
set xlabel 'evaluation' noenhanced
set ylabel 'trace' noenhanced
set label 'n = 1: no interval' at graph 0, graph -0.24 font ',10' textcolor rgb '#666666' noenhanced
set bmargin 6
set autoscale xfix
set offsets graph 0.03, graph 0.03, 0, 0
plot 'cobyla_quantum.dat' index 0 using 1:3:4 with filledcurves fc rgb '#0072B2' fs transparent solid 0.2 notitle, \
     'cobyla_quantum.dat' index 0 using 1:2 with lines lc rgb '#0072B2' lw 2 title 'COBYLA', \
     'cobyla_quantum.dat' index 1 using 1:3:4 with filledcurves fc rgb '#D55E00' fs transparent solid 0.2 notitle, \
     'cobyla_quantum.dat' index 1 using 1:2 with lines lc rgb '#D55E00' lw 2 title 'SPSA', \
     'cobyla_quantum.dat' index 2 using 1:3:4 with filledcurves fc rgb '#009E73' fs transparent solid 0.2 notitle, \
     'cobyla_quantum.dat' index 2 using 1:2 with lines lc rgb '#009E73' lw 2 title 'Adam'
