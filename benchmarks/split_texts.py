"""Expressions written for the split benchmark, in the manner of region descriptions; ``[...]`` marks what has a box.

``SEEN`` and ``SEEN_LATER`` were looked at while the split was written; ``HELD_OUT`` was only ever counted.
``SEVERAL`` are single expressions of several sentences. ``PLAIN`` and ``QUESTIONS`` are ordinary. ``REFERRING`` are in
the manner of RefCOCO, without marked boxes, and ``SHORT`` those of them that are a number or a letter or end in one.
"""

SEEN = """
a [U.S. mail truck] on [the street]
[a flag] of the U.S. on [a pole]
[st. nicholas church] on [the corner]
[man] wearing a no. 5 [jersey]
[player] no. 23 swinging [a bat]
[boats]... near [dock]
[a 6 ft. tall man] in [a suit]
[mt. rushmore] in [the background]
[the clock] says 10 a.m. on [the tower]
[clock] reading 4:30 p.m. on [the wall]
[a dr. pepper can] on [the desk]
[sign] for john smith jr. high school
[an acme inc. truck] parked outside
[food] e.g. [bananas] and [apples] on [a table]
[a 3.5 lb. weight] on [the floor]
[washington d.c. sign] above [the road]
[mr. bean] standing near [a car]
[mrs. claus] holding [a present]
[the man] vs. [the bull] in [a ring]
[a stop sign] at main st. and [a pole]
[elm st. sign] on [a post]
[a plane] approx. 200 ft. above [the water]
[Dr. Seuss book] on [the shelf]
[a street sign] that says Park Ave. in white
[the bus] to St. Louis stopped at [the curb]
[Ft. Lauderdale] written on [the boat]
[the no. 1 train] at [the station]
[etc. written] on [a board]
[a 12 oz. can] of soda beside [the keyboard]
[the u.s.a. jersey] on [the skier]
[a us. postal service box] beside [the door]
[J. Crew bag] held by [the woman]
[a sign] for j. p. morgan on [the building]
[a t.v. stand] under [the window]
[man] watching t.v. on [the couch]
[woman]... with [umbrella] and [dog]
[St. Patrick's parade] down [the road]
[the sgt. pepper poster] on [the wall]
[prof. smith] standing at [the board]
[vol. 2] of [a book] on [the shelf]
[fig. 3] on [the page]
[a sign] reading 5 mi. to [the beach]
[a 20 in. monitor] on [the desk]
[cake] for mr. and mrs. jones on [a table]
[the president of the U.S. Senate] at [the podium]
[motorcycle] no. 46 leaning into [the turn]
[number] on bus is no. 12 in [front window]
[jet] with u.s. air force on [its side]
[a u.s. flag] on [the wing]
[a pole] approx. 10 ft. high
[trees] approx. half a mile behind [the fence]
[woman] walking st. bernard [dog]
[a hydrant] at 5th st. near [the curb]
[The label] on [the bottle] says No. 7 in gold
[Lt. Smith] riding [a horse]
[a Rolls Royce co. logo] on [the hood]
[the word] stop... on [the sign]
[time] on [the phone] is 9:15 a.m. on [the screen]
[the number 3.] on [the jersey]
[two cats] i.e. [the black one] and [the white one]
[a person] at no. 10 [door]
[a box of no. 2 pencils] on [the table]
[green sign] for Rt. 66 above [cars]
[sign] says blvd. in [white letters]
[the letter] s. in [the sign]
[a pizza] w. [cheese] on [a plate]
[a building] in N. Y. city
[el. train] over [the street]
[a horse] 5 yrs. old in [a field]
[a cup] of 8 fl. oz. near [the sink]
[a flag] from the U.S.
[the clock] says 5 p.m.
[a bear] standing 6 ft.
[sign] at elm st.
[the logo] of acme inc.
[forks, spoons etc.]
[the player] wears no.
"""

SEEN_LATER = """
[a capt. morgan bottle] behind [the bar]
[gen. lee statue] in [the park]
[rev. jones] speaking to [a crowd]
[signs] at 42nd st. and [people] crossing
[the logo] of Smith Bros. on [the van]
[a Macy's dept. store] behind [the trees]
[an old no. 8 locomotive] with [smoke]
[locomotive nos. 4 and 5] side by side on [the tracks]
[a 10 lb. turkey] in [the oven]
[a 2 x 4 in. board] leaning on [the wall]
[the truck] weighs 3 tons approx. and [the car] less
[sun] setting... behind [mountains]
[waves]... crash on [the shore]
[a clock] ... on top of [a shelf]
[the man] who... is holding [a racket]
[mt. fuji] behind [the lake]
[Mt. Hood] covered in [snow]
[a u.k. flag] painted on [the car]
[the U.K. plug] in [the socket]
[an E.U. banner] over [the entrance]
[l.a. dodgers cap] on [his head]
[the N.Y. Yankees player] at [first base]
[ms. pacman machine] in [the corner]
[Mrs. Butterworth's bottle] next to [pancakes]
[jr. league players] around [the coach]
[Ken Griffey Jr. swinging] at [the ball]
[sammy davis jr. star] on [the sidewalk]
[the sr. citizen] crossing [the road]
[sign] for Hope Ave. hanging above [traffic]
[a Sunset Blvd. sign] by [palm trees]
[the corner of king rd. and queen] with [a mailbox]
[a pair of hwy. signs] over [the lanes]
[a 5 gal. bucket] full of [apples]
[the 1.5 qt. pan] on [the stove]
[ruler showing 12 cm. beside] [the scissors]
[a 50 mph. limit sign] on [the post]
[boxes] of apples, pears, etc. under [the stand]
[utensils] (forks, etc.) in [a jar]
[animals] such as cows, goats etc. in [the meadow]
[a photo] of a man c. 1900 in [a frame]
[print] dated jan. 5 on [the photo]
[calendar] showing Feb. 2012 on [the wall]
[calendar] with Sept. at the top next to [a clock]
[the date] Oct. 31 on [a cake]
[Thurs. written] on [the chalkboard]
[an open sign] reading Mon. thru Fri. on [the door]
[batter] vs. [catcher] at the plate
[a Red Sox vs. Yankees game] with [fans]
[the a.c. unit] in [the window]
[an A.C. vent] on [the ceiling]
[a d.j. table] with [speakers]
[the R.V. parked] beside [the tent]
[b.b. king poster] over [the bed]
[C. S. Lewis books] on [the nightstand]
[George W. Bush shaking] hands with [a man]
[John F. Kennedy portrait] above [the fireplace]
[a P.F. Chang's sign] on [the building]
[a shirt] reading r.i.p. on [the man]
[a Ph.D. diploma] on [the wall]
[a s.w.a.t. van] outside [the house]
[the p.o. box] beside [the fence]
[Univ. of Texas shirt] on [the boy]
[the bldg. behind] [the bus]
[apt. 4 door] with [a wreath]
[the sign] at exit no. 14 above [the cars]
[runner] no. 114 passing [a runner]
[a page] from ch. 3 of [the book]
[page no. 12 of] [the book]
[a sign] that says min. 5 people near [the ride]
[max. height sign] on [the bridge]
[the speed limit sign] of 25 max. beside [the truck]
[s. main street sign] above [the light]
[the N. 5th avenue sign] on [a pole]
[E. Houston street sign] next to [the awning]
[a can of Dr. Brown's] with [a straw]
[painting of st. george and] [the dragon]
[the St. Bernard] lying near [a child]
[st. john's wood station] with [a train]
[a Lufthansa A.G. jet] at [the gate]
[an apple corp. computer] beside [a lamp]
[a Mattel ltd. toy] on [the rug]
[words] on sign: no parking. tow away... above [the curb]
[a man] dressed as st. nick with [a sack]
[the tower] in Washington D.C. behind [the trees]
[the skyline] of D.C. behind [the river]
[batter] waits... [umpire] crouches
[a stamp] from the U.K.
[the store] of Smith and co.
[a train] leaving at 7 a.m.
[the box] weighs 40 lbs.
[lights] on Hollywood blvd.
[a crate] of apples, pears etc.
[a tail]...
"""

HELD_OUT = """
[a statue] of gen. grant riding [a horse]
[the bust] of pres. lincoln beside [a vase]
[Fr. Murphy] blessing [the bikes]
[sister] of st. joseph holding [a child]
[a st. louis cardinals player] sliding into [second base]
[the road] to Mt. Vernon with [a cyclist]
[an old ft. worth trolley] near [the bank]
[a plaque] for lt. col. custer on [the stone]
[the bottle] of Mr. Clean under [the sink]
[a mr. coffee pot] beside [the toaster]
[Ms. Piggy doll] leaning on [a pillow]
[race car no. 88] leading [the pack]
[bib no. 301] pinned on [the shirt]
[platform no. 3 sign] above [the passengers]
[bus] on route no. 7 turning at [the corner]
[the sign] says no. [the man] ignores it
[pg. 42 of] [an open magazine]
[fig. 2 drawn] on [the whiteboard]
[a lane] closed approx. 300 m. from [the bridge]
[balloon] floating approx. 50 feet above [the crowd]
[a giraffe] about 15 ft. tall next to [a tree]
[a 7 in. tablet] on [the sofa]
[the 16 oz. glass] of [beer]
[a 25 lb. bag] of [dog food]
[a 10 km. marker] by [the trail]
[a scale] reading 2 kg. of [tomatoes]
[microwave clock] reading 11:45 a.m. above [the stove]
[train board] shows 6 p.m. departure behind [travelers]
[a u.s. open banner] behind [the tennis player]
[the U.S. Capitol] lit behind [the fountain]
[a U.S. Navy helicopter] over [the deck]
[stickers] of the u.k. on [the suitcase]
[the u.n. truck] stuck in [mud]
[a Washington D.C. map] on [the table]
[an n.y.p.d. car] beside [the hydrant]
[L.L. Bean tag] on [the jacket]
[a J. J. Watt jersey] on [the fan]
[the name] E. Johnson printed on [the mailbox]
[a t.g.i.f. sticker] on [the fridge]
[a v.w. bus] with [surfboards]
[Harry Winston Inc. sign] over [the door]
[a Pepsi Co. cooler] by [the register]
[the Levi Strauss & Co. patch] on [the jeans]
[Coors Ltd. barrels] near [the wall]
[a banner] for Kellogg Corp. hanging over [the stage]
[the martin luther king jr. memorial] with [visitors]
[a fruit stand] with mangoes, limes, etc. beside [the scooter]
[tools] such as hammers, saws, etc. on [the bench]
[drinks], e.g. [juice] and [milk], on [the counter]
[pets], i.e. [a cat] and [a dog], asleep
[yankees] vs. [mets] on the screen
[a dog] vs. [a vacuum]
[ocean ave. sign] near [the pier]
[the crossing] at 5th ave. and [a taxi]
[a pole] on Lincoln Blvd. with [two signs]
[the sign] for oak rd. behind [the bush]
[clouds]... over [the hills]
[a girl]... looking at [the camera]
[the word] wait... painted on [the wall]
[sheep]... [shepherd] and [dog]
[snowboarder]...mid air above [the ramp]
[a lamp] in the dept. of motor vehicles
[a date] of Dec. 25 on [the card]
[newspaper] from Aug. 1969 under [the cup]
[the letter k.] on [the keyboard]
[an award] for best dr. in [the office]
[dr. smith] examining [the patient]
[the surgeon gen. warning] on [the box]
[A photo] taken in st. moritz with [skiers]
[S. Lake street sign] by [the light]
[a map] of the u.s.
[the window] of Gap inc.
[a photo] of martin luther king jr.
[the street] called Abbey rd.
[a bear] that weighs 300 lbs.
[the match] ends at 3 p.m.
[cups, plates, etc.]
[a woman]...
"""

SEVERAL = """
[A man] on [a bench]. He is reading [a newspaper]
[a dog] in the grass. it is brown
[The bus] is red. It has [a sign] on the front
[two zebras]. one is grazing
[the woman] is smiling. She has [long hair]
[a bowl] of soup. there is [a spoon] in it
[man] on left. not the one with the hat
[the boy] in red. far right
[chair] closest to us. bottom left
[a plate] of food. It looks good
[This is a kitchen]. There are many [cabinets]
[girl] in front. her back is to us
"""

PLAIN = """
[a traffic light] above [the road]
[the man] is wearing [a blue shirt]
[woman] holding [an umbrella]
[a brown dog] lying on [the grass]
[red car] parked by [the curb]
[the sky] is cloudy
[two people] walking on [the beach]
[a white plate] with [food]
[the leaves] are green
[a wooden table] with [four chairs]
[Pillars] on [the building]
[the doors] are shut
[red lights] engaged by using breaks
[the monument] is green in colour
[stop light] has a red light displayed
[a parking sign]
[grey haired shop owner] talking to [customers]
[A woman] wearing [a gray shirt]
[All types wicker baskets]
[plantains] displayed for sale on [a table]
[one man] wearing [pink tie]
[dark hair] on [the boy]
[a clock] on [the tower]
[snow] on [the mountain]
[the horse] is standing in [a field]
[left most zebra]
[guy] in black on right
[pizza slice] with mushrooms closest to us
[second sheep] from left
[the giraffe] that is bending down
[a large jetliner] flying through [the air]
[Wooden floor] in [the living room]
[Man]'s left hand on [the rail]
[train tracks] next to [platform]
[skateboarder] doing a trick
[batter] at [home plate]
[wave] crashing behind [the surfer]
[a pile of bananas]
[number 52 on back of jersey]
[old rusty hydrant] painted yellow
[3 sheep] grazing
[2 women] sitting on [a couch]
[THE SIGN] IS RED
[it] is a sunny day
[this] is [a cat]
[white]
[bus]
[kid with hat]
[orange vest] on [the worker]
[blurry background]
"""

QUESTIONS = """
Is the [man] to the left of the [dog]?
What color is the [shirt]?
Are there any [umbrellas] near the [beach]?
Who is wearing the [hat]?
Do the [shoes] look black and small?
What is in front of the [St. Louis arch]?
Is it indoors or outdoors?
Which kind of vehicle is to the right of the [U.S. flag]?
What is the [man] in the no. 5 [jersey] holding?
On which side of the photo is the [bus]?
"""

REFERRING = """
guy in red shirt
left guy
person in white far right
lady with sunglasses
man bending cant see his head
batter
catcher
umpire behind the catcher
kid in blue on right
woman holding phone
the man sitting down
second from left
girl in pink
black suitcase
white car behind bus
far left giraffe
zebra in front
elephant butt
baby elephant
bottom right pizza slice
sandwich half on left
bowl with soup
glass of water next to plate
chair with no one in it
couch on the left
bed closest to us
blue umbrella
bike leaning on tree
motorcycle front and center
horse on right facing us
cow lying down
sheep looking at camera
dog with frisbee
cat on the laptop
brown bear
player on ground
tall guy with beard
woman in black dress
man with glasses on left
kid eating
dude with hat
blond girl
old lady
person partially cut off on right side
arm on left edge
hand holding knife
back of head in front
tan shirt
black shirt left
red tie
blue shirt guy sitting
green shirt
man not in suit
not the dog
the one with stripes
closest to camera
middle one
top left orange
biggest broccoli
banana on top
donut with sprinkles
carrot in front
cake with candles
wine glass in middle
keyboard
white laptop
monitor on right
remote in her hand
truck behind
yellow bus
train on left track
boat in back
surfer on left
skier in red
snowboarder with no poles
guy jumping
skateboard dude
tennis player serving
man swinging
boy with bat
soccer player falling
girl kicking ball
person standing behind fence with arms crossed
his left leg
her purse
what he is sitting in
guy looking at us
smiling man
half eaten one
empty chair
clear vase
flowers in pot
clock face on right
teddy bear with bow
big bear
little kid on ski
upper left
right side of pic
lower right corner
3 people back row 2nd from right
guy in back w hat
two zebras heads together
the horse that the woman is riding
player about to catch ball
guys elbow
striped shirt woman
woman whose face you can see
in the back near wall
on the far right
with backpack
next to the tree
behind counter
sitting on bench
wearing yellow
looking left
"""

SHORT = """
[71]
[8]
[12]
[23]
[2]
[number] 8
[player] 15
[no] 21
[guy] with 10
[jersey] says 33
[he] is 3
[second] from l
[guy] on r
[person] in stands with t
[letter c]
[the k]
[girl] in shirt with big m
[sign] with a b
[guy] on l
[bottom] r
[far] l
[bus] with e
[man] holding letter o
[white] v
[capital] a
[shirt] w the a
[x]
[s]
[guy] with an x
[the t]
[box] with a z
[kid] who is 5
[bus] 42
[train] 3
[clock] at 10
[first] on l
[top] r
[sheep] marked 7
[boat] d
"""
